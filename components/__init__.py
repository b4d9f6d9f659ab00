"""TFX components and TFMA metrics: adapters around ``data`` and ``trainer``, no arithmetic."""
