"""The same pipeline on open-source Kubeflow Pipelines: compiler, linter, entrypoint, client.

What the compiler writes into a step and the entrypoint relies on:

Command. Every step runs ``python -m pipeline.cluster.entrypoint`` with, in this order:

- the arguments of TFX's ``kubeflow_v2_run_executor``, unchanged: ``--executor_class_path CLASS``,
  ``--json_serialized_invocation_args {{$}}`` (the ExecutorInput) and
  ``--json_serialized_inputs_spec_args JSON`` (the ComponentInputsSpec as TFX made it);
- ``--node_id ID`` (``Trainer``), ``--pipeline_name NAME``, ``--pipeline_root URI`` (the compiled one; a
  submission may name another, so the URIs of the output artifacts are the truth);
- ``--run_id $(DECONVFLOW_RUN_ID)``: Kubernetes fills in the environment variable, which the platform
  document takes from the pod's label ``pipeline/runid``. The backend replaces ``{{$.pipeline_job_uuid}}``
  only in constants of task inputs, where it would be part of the cache's key;
- ``--configuration JSON`` of the first step, which records it: every key of the pipeline, none of them
  secret;
- no or more ``--override KEY=VALUE``: KEY is a dotted configuration key (``trainer.epochs``,
  ``evaluation.gates.floors.iou/road``), VALUE what a runtime parameter came to. An empty VALUE means:
  keep what was compiled;
- the arguments of Beam, which TFX's parser leaves over. Every argument of ours comes before them.

Inputs. Input parameters of the ExecutorInput that ``--json_serialized_inputs_spec_args`` does not name
are no execution properties: they feed overrides and the cache's key. The entrypoint drops them.
``prepare_properties`` holds the functions that turn TFX's execution properties into what executors get:

- ``merge_overrides(properties, overrides)`` puts overrides into the JSON of ``data_config``,
  ``gate_config``, ``evaluation_config`` (and TFMA's ``eval_config``, built anew), ``pipeline_config`` and
  ``custom_config``. Its result is what is to be recorded as the execution's properties;
- ``expand_properties(properties, scratch)`` then writes below ``scratch`` what a step finds in no store:
  the embedded sample where ``data.root`` is ``sample:NAME`` (the same bytes in every step), and the
  curated schema, which ``schema_file`` holds as ``text:...``. Its result is for the executor only.

Artifacts. Types that TFX does not know have the schema titles of ``artifact_schemas.CLASS_PATHS``; the
entrypoint adds these to TFX's ``compiler_utils.TITLE_TO_CLASS_PATH``.

Output parameters. ``DatasetSnapshot.fingerprint`` and ``BaselineModel.baseline_uri`` are artifacts and
parameters of the same name, as TFX's executor writes them.

Environment. ``DECONVFLOW_RUN_ID``; ``DECONVFLOW_METADATA_STORE``, an address as ``--store`` takes it, absent
where nothing is to be recorded; ``DECONVFLOW_METADATA_PASSWORD`` from a Kubernetes secret where the store
takes one; ``DECONVFLOW_NAMESPACE`` and ``DECONVFLOW_SERVICE_ACCOUNT`` of its pod for a Trainer that creates
a training job (``hand_over_training``); ``AWS_ENDPOINT_URL_S3`` from ``storage.s3_endpoint_url``; whatever
``environment`` and ``secrets`` of ``kubeflow.defaults`` and ``kubeflow.components`` name
(``AWS_ACCESS_KEY_ID`` ...).
No secret is part of the compiled files.
"""
