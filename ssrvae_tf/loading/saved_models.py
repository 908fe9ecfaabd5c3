"""Whether the graph of a SavedModel keeps to its own numbers. A graph is a program: it may read and write files."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any, Callable

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from ssrvae_tf.errors import UserError
from ssrvae_tf.loading.places import WILDCARDS

# Python, files, input pipelines, logs, debuggers (they write to URLs), other machines, and the end of the process.
_OUTSIDE = re.compile(
    r"PyFunc|File|Reader|RecordInput|LoadAndRemapMatrix|GenerateVocabRemapping|ImmutableConst|FixedUnigram|Proto"
    r"|Dataset|Iterator|Summary|ImportEvent|StatsAggregator|Print|Debug|^Copy|Save|Restore|Checkpoint"
    r"|Remote|Rpc|Socket|^_?Host|^_?Send|^_?Recv|Collective|Nccl|TPU|Infeed|Outfeed|WorkerHeartbeat|TRT|^Abort$"
)
# What TensorFlow itself writes into each SavedModel, for its variables.
_RESTORER = {"RestoreV2"}
_SAVER = {"SaveV2", "MergeV2Checkpoints", "ShardedFilename", *_RESTORER}


def check_saved_model(
    folder: str | os.PathLike, instead: str = "take a model that python -m ssrvae_tf.export wrote"
) -> None:
    """Refuse a SavedModel whose graph reaches outside: Python, files, other machines; also operators unknown here.

    Saving and restoring of variables is let through where only the saver can call it: neither a signature, nor what
    starts a model, nor anything that Python has a name for. SavedModels of TensorFlow 1 are refused, since loading one
    runs what the file calls its saver.

    Args:
        folder: that holds saved_model.pb.
        instead: what its user is told to do.

    Raises:
        UserError: if it does, or cannot be read.
    """
    path = Path(folder) / "saved_model.pb"
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(f"{path}: not a SavedModel ({error}): export it again") from error
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(f"{path}: a SavedModel of TensorFlow 1: not loaded; save it again by TensorFlow 2")
    found = sorted(set().union(*map(_reaching_out, saved.meta_graphs)))
    if found:
        names = ", ".join(found)
        raise UserError(f"{folder}: its graph can reach files, programs or machines by {names}: not loaded; {instead}")


def _reaching_out(meta_graph: Any) -> set[str]:
    """Operators of a graph that are not let through."""
    functions = {each.signature.name: each.node_def for each in meta_graph.graph_def.library.function}
    savers = {name for name, nodes in functions.items() if any(node.op in _SAVER for node in nodes)}
    saver = meta_graph.saver_def
    # Neither may be a part of what runs for other reasons, and loading does not write.
    may_call = {_node(saver.save_tensor_name): _SAVER, saver.restore_op_name: _RESTORER}
    used = _used(meta_graph)
    found = set()
    for name, nodes in {"": meta_graph.graph_def.node, **functions}.items():
        for node in nodes:
            if node.op in functions:
                called = {node.op}
            else:
                called = set()
                let_through = name in savers and node.op in _SAVER
                if not let_through and (_OUTSIDE.search(node.op) or not hasattr(tf.raw_ops, node.op)):
                    found.add(node.op)
            called |= {function.name for value in node.attr.values() for function in _functions(value)}
            let_call = may_call.get(node.name, set()) if not name and node.name not in used else set()
            found |= _ops(functions, called & savers) - let_call
    exposed = set(meta_graph.object_graph_def.concrete_functions)
    for each in meta_graph.object_graph_def.nodes:
        exposed |= {*each.function.concrete_functions, each.bare_concrete_function.concrete_function_name}
    exposed |= {each.gradient_func for each in meta_graph.graph_def.library.gradient}
    return found | _ops(functions, exposed & savers)


def _used(meta_graph: Any) -> set[str]:
    """The nodes that signatures and what starts the model run."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    wanted = [node for each in meta_graph.collection_def.values() for node in each.node_list.value]
    for signature in meta_graph.signature_def.values():
        wanted += [info.name for info in (*signature.inputs.values(), *signature.outputs.values())]
    used = set()
    while wanted:
        name = _node(wanted.pop())
        if name in nodes and name not in used:
            used.add(name)
            wanted += nodes[name].input
    return used


def _node(name: str) -> str:
    """The node of a tensor or of a control input."""
    return name.removeprefix("^").split(":")[0]


def _functions(value: Any) -> list:
    return [value.func, *value.list.func] if value.HasField("list") or value.HasField("func") else []


def _ops(functions: dict, savers: set[str]) -> set[str]:
    return {node.op for name in savers for node in functions[name] if node.op in _SAVER}


def load_network(path: str | os.PathLike, option: str, missing: str) -> Any:
    """A frozen network of a user's. Call its signatures by way of it: one alone does not keep its variables alive.

    Args:
        option: that gave `path`, for messages.
        missing: the end of the one that says that there is none.

    Raises:
        UserError: if there is none, or its graph reaches files or programs.
    """
    if not (Path(path) / "saved_model.pb").is_file():
        raise UserError(f"{option} {path}: no SavedModel there{missing}")
    check_saved_model(path, f"export the network again, with nothing but its numbers, for {option}")
    return read(path)


def read(folder: str | os.PathLike) -> Any:
    """`tf.saved_model.load`, after `check_saved_model`; of any folder.

    TensorFlow takes the place of variables for a glob, and finds none where a folder's name has such as [1] in it.
    """
    if not WILDCARDS.search(Path(folder).as_posix()):
        return tf.saved_model.load(os.fspath(folder))
    with tempfile.TemporaryDirectory() as links:
        link = Path(links, "model")
        link.symlink_to(Path(folder).absolute(), target_is_directory=True)
        return tf.saved_model.load(os.fspath(link))


def feature_levels(path: str | os.PathLike) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """The two finest levels of a frozen feature network, for a perceptual loss.

    Args:
        path: folder of a SavedModel with a signature `levels`: images (B, H, W, 3) float32 in [0, 1] -> level_1,
            level_2, ..., from fine to coarse, (B, h, w, C) each.

    Returns:
        A function of such images; gradients go through it.

    Raises:
        UserError: if there is no such model, or its graph reaches files or programs.
    """
    wanted = "a SavedModel with a signature `levels`, images -> level_1, level_2, is wanted"
    model = load_network(path, "--perceptual", f": {wanted}")
    signature = model.signatures.get("levels")
    takes = sorted(signature.structured_input_signature[1]) if signature else []
    names = sorted(name for name in signature.structured_outputs if name.startswith("level_")) if signature else []
    if takes != ["images"] or len(names) < 2:
        raise UserError(f"--perceptual {path}: its signatures are {', '.join(sorted(model.signatures))}: {wanted}")

    def run(images: tf.Tensor) -> list[tf.Tensor]:
        levels = model.signatures["levels"](images=images)
        return [levels[name] for name in names[:2]]

    return run
