"""The embedded sample: scenes of scanned handwritten digits over crops of two photographs."""
