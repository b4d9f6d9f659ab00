"""Compiles the DAG and runs it with TFX's launcher, node by node. Imports TFX."""

from __future__ import annotations

import logging

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from components.bound_batches import bounded_batches
from data import progress
from pipeline.config import PipelineConfig
from pipeline.connect_store import Connection
from pipeline.dag import ALWAYS_RUN, create_pipeline
from pipeline.hide_command_line import hide_command_line
from pipeline.register_run import StoreHandle
from pipeline.register_run import register_run as register_run
from pipeline.workspace import Workspace
from trainer.checkpoints import remove_released
from trainer.distribution import set_logical_cpus
from trainer.load_weights import fetch_imagenet

_LOGGER = logging.getLogger(__name__)


def execute(config: PipelineConfig, workspace: Workspace, connection: Connection, run_id: str) -> None:
    """Runs the DAG under one run id; raises what a component's executor raised."""
    if isinstance(config.trainer.devices, int) and config.trainer.devices > 1:
        # TensorFlow divides the CPU only before the first operation of the process.
        set_logical_cpus(config.trainer.devices)
    # Before anything that takes long: it may need a network.
    fetch_imagenet(config.trainer.model)
    # Statistics and Transform would read up to 1,000 images at once.
    with hide_command_line(), bounded_batches():
        launch_nodes(compile_dag(config, workspace, run_id), connection)
    # Not sooner: now the model is recorded for certain, by this run or an earlier one.
    remove_released(str(workspace.checkpoints(config.name)))


def launch_nodes(representation: pipeline_pb2.Pipeline, connection: Connection) -> None:
    """Runs every node in turn, as TFX's LocalDagRunner does.

    That one takes the connection from the representation and logs it: the password of a server would
    have to be in the one, and would be in the other.
    """
    deployment = runner_utils.extract_local_deployment_config(representation)
    for entry in representation.nodes:
        node = entry.pipeline_node
        name = node.node_info.id
        _LOGGER.info("Component %s is running.", name)
        with progress.current().stage(name):
            launcher.Launcher(
                pipeline_node=node,
                mlmd_connection=StoreHandle(connection),
                pipeline_info=representation.pipeline_info,
                pipeline_runtime_spec=representation.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, name),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
            ).launch()
        _LOGGER.info("Component %s is finished.", name)


def compile_dag(config: PipelineConfig, workspace: Workspace, run_id: str) -> pipeline_pb2.Pipeline:
    """Returns TFX's intermediate representation, with the run id and each node's cache switch set."""
    representation = compiler.Compiler().compile(create_pipeline(config, workspace))
    runtime_parameter_utils.substitute_runtime_parameter(
        representation, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    for node in representation.nodes:
        if node.pipeline_node.node_info.id in ALWAYS_RUN:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    return representation
