from __future__ import annotations

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tiny_runs import PLAIN
from tiny_saved_models import Bicubic, save

from ssrvae_tf.errors import UserError
from ssrvae_tf.exporting.saved_model import export_saved_model
from ssrvae_tf.loading.saved_models import check_saved_model, read
from ssrvae_tf.models import SRNetwork


def saved(folder, function):
    """A SavedModel whose only signature is `function` of a float."""
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    signature = tf.function(function, input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), {"serving_default": signature})
    return folder


def changed(folder, change):
    """`folder`, after `change` had its graph."""
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(model.meta_graphs[0])
    path.write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize("name", ["models [1]", "models\\1", "models *?"])
def test_a_folder_may_have_a_name_that_is_a_glob(tmp_path, name):
    folder = saved(tmp_path / name, lambda x: {"y": x + 1.0})
    check_saved_model(folder)
    model = read(folder)
    assert model.signatures["serving_default"](x=tf.constant(2.0))["y"] == 3.0
    assert float(model.variable) == 1.0


def after(effect):
    """A function that does `effect`, and gives its argument."""

    def function(x):
        with tf.control_dependencies([effect()]):
            return {"y": tf.identity(x)}

    return function


def nested(effect):
    """The same, two functions deep."""

    @tf.function
    def inner(x):
        return after(effect)(x)["y"]

    return lambda x: {"y": tf.cond(x > 0, lambda: inner(x), lambda: x)}


EFFECTS = {
    "ReadFile": lambda: tf.io.read_file("/etc/hostname"),
    "WriteFile": lambda: tf.io.write_file("/nowhere/file", "text"),
    "MatchingFiles": lambda: tf.io.matching_files("/*"),
    "PyFunc": lambda: tf.raw_ops.PyFunc(input=[], token="pyfunc_0", Tout=[tf.float32])[0],
    "PyFuncStateless": lambda: tf.raw_ops.PyFuncStateless(input=[], token="pyfunc_0", Tout=[tf.float32])[0],
    "EagerPyFunc": lambda: tf.raw_ops.EagerPyFunc(input=[], token="pyfunc_0", Tout=[tf.float32])[0],
    "PrintV2": lambda: tf.raw_ops.PrintV2(input="text", output_stream="file:///nowhere/file"),
    "SaveV2": lambda: tf.raw_ops.SaveV2(prefix="/nowhere/f", tensor_names=["a"], shape_and_slices=[""], tensors=[1.0]),
    "RestoreV2": lambda: tf.raw_ops.RestoreV2(
        prefix="/nowhere/f", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "TextLineDataset": lambda: tf.raw_ops.TextLineDataset(filenames="/f", compression_type="", buffer_size=1),
    "DecodeProtoV2": lambda: tf.raw_ops.DecodeProtoV2(
        bytes=[""], message_type="m", field_names=["f"], output_types=[tf.int32], descriptor_source="/nowhere/f"
    )[0],
}


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("form", [after, nested])
def test_a_graph_that_reaches_out_is_refused(tmp_path, name, form):
    folder = saved(tmp_path / "model", form(EFFECTS[name]))
    with pytest.raises(UserError, match=rf"its graph can reach files, programs or machines by {name}: not loaded"):
        check_saved_model(folder)


def test_our_own_and_plain_models_pass(tmp_path):
    check_saved_model(
        export_saved_model(SRNetwork(**{**PLAIN, "global_blocks": 1, "local_blocks": 1}), tmp_path / "own")
    )
    check_saved_model(save(Bicubic(), tmp_path / "bicubic"))


def test_a_borrowed_saver_is_refused(tmp_path):
    """The saver's function, whose name and operators are right, called by a signature."""
    folder = saved(tmp_path / "model", lambda x: {"y": x + 1.0})

    def borrow(graph):
        saver = graph.saver_def.save_tensor_name.split(":")[0]
        (node,) = [each for each in graph.graph_def.node if each.name == saver]
        graph.graph_def.node.add().CopyFrom(node)
        graph.graph_def.node[-1].name = "another"

    check_saved_model(folder)
    with pytest.raises(UserError, match="SaveV2"):
        check_saved_model(changed(folder, borrow))


def saver_of(graph) -> str:
    """The name of the function that saves."""
    (name,) = [each.signature.name for each in graph.graph_def.library.function if "traced_save" in each.signature.name]
    return name


def test_a_saver_that_python_can_call_is_refused(tmp_path):
    folder = saved(tmp_path / "model", lambda x: {"y": x + 1.0})

    def expose(graph):
        graph.object_graph_def.concrete_functions[saver_of(graph)].SetInParent()

    with pytest.raises(UserError, match="SaveV2"):
        check_saved_model(changed(folder, expose))


def test_a_saver_that_only_a_node_of_the_object_graph_names_is_refused(tmp_path):
    folder = saved(tmp_path / "model", lambda x: {"y": x + 1.0})

    def expose(graph):
        graph.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = saver_of(graph)

    with pytest.raises(UserError, match="SaveV2"):
        check_saved_model(changed(folder, expose))


def test_a_saver_that_a_signature_runs_is_refused(tmp_path):
    """Its names are the saver's own, and a signature waits for it."""
    folder = saved(tmp_path / "model", lambda x: {"y": x + 1.0})

    def wait(graph):
        saver = graph.saver_def.save_tensor_name.split(":")[0]
        name = graph.signature_def["serving_default"].outputs["y"].name.split(":")[0]
        (node,) = [each for each in graph.graph_def.node if each.name == name]
        node.input.append(f"^{saver}")

    with pytest.raises(UserError, match="SaveV2"):
        check_saved_model(changed(folder, wait))


def test_restoring_may_not_save(tmp_path):
    def swap(graph):
        graph.saver_def.restore_op_name = graph.saver_def.save_tensor_name.split(":")[0]
        graph.saver_def.save_tensor_name = ""

    with pytest.raises(UserError, match="SaveV2"):
        check_saved_model(changed(saved(tmp_path / "model", lambda x: {"y": x + 1.0}), swap))


@pytest.mark.parametrize(
    "change", [lambda graph: graph.ClearField("object_graph_def"), None], ids=["no objects", "two graphs"]
)
def test_what_tensorflow_would_load_as_version_1_is_refused(tmp_path, change):
    folder = saved(tmp_path / "model", lambda x: {"y": x + 1.0})
    if change:
        changed(folder, change)
    else:
        path = folder / "saved_model.pb"
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
        path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="SavedModel of TensorFlow 1: not loaded"):
        check_saved_model(folder)


def test_operators_that_are_not_tensorflows_own_are_refused(tmp_path):
    def add(graph):
        graph.graph_def.node.add(name="new", op="IO>Anything")

    with pytest.raises(UserError, match="IO>Anything"):
        check_saved_model(changed(saved(tmp_path / "model", lambda x: {"y": x}), add))


@pytest.mark.parametrize("content", [None, b"\xff\xff not a graph"])
def test_what_is_no_saved_model_is_told(tmp_path, content):
    if content:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(UserError, match="saved_model.pb: not a SavedModel"):
        check_saved_model(tmp_path)
