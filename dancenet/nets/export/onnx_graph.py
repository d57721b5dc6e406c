"""Builds ONNX graphs from nodes and weights with readable names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # ONNX 1.12; ONNX Runtime 1.17 reads up to 9


class GraphBuilder:
    """Collects nodes and weights under readable names."""

    def __init__(self, name: str, outer: GraphBuilder | None = None, fold: bool = True) -> None:
        """Begins a graph.

        Args:
            name: the graph's.
            outer: for a branch, the graph around it, whose values it can use; see `branch`.
            fold: merge Keras layers that one operation can compute; False to compare.
        """
        self.name = name
        self.fold = fold
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = outer._weights if outer else {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def switch(self, name: str) -> str:
        """Declares a Boolean scalar input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.BOOL, []))
        return name

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Declares a float32 input: (batch, *shape), or a scalar if `shape` is empty."""
        axes: list[str | int | None] = ["batch", *shape] if shape else []
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))
        return name

    def output(self, name: str, shape: Sequence[int]) -> None:
        """Declares the value called `name` as an output."""
        self._outputs.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        )

    def weight(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Stores an array in the graph; returns its name."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self._weights[name] = numpy_helper.from_array(array, name)
        return name

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str | Sequence[str],
        name: str | None = None,
        **attributes: Any,
    ) -> str:
        """Adds a node named after its (first) output; returns that output's name."""
        outputs = [output] if isinstance(output, str) else list(output)
        self._nodes.append(
            helper.make_node(kind, list(inputs), outputs, name=name or outputs[0], **attributes)
        )
        return outputs[0]

    def branch(self, switch: str, then: GraphBuilder, outputs: Sequence[str]) -> None:
        """Adds a graph that is computed only if a Boolean is true.

        Args:
            switch: name of the Boolean.
            then: begun with this graph as `outer`; its outputs are declared.
            outputs: their names in this graph; they have no rows if `switch` is false.
        """
        otherwise = GraphBuilder(f"{then.name}/not", self)
        for value in then._outputs:
            shape = [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]]
            empty = numpy_helper.from_array(np.zeros((0, *shape), np.float32))
            otherwise.output(otherwise.add("Constant", [], f"{value.name}/not", value=empty), shape)
        branches = (
            helper.make_graph(part._nodes, part.name, [], part._outputs)
            for part in (then, otherwise)
        )
        self.add("If", [switch], outputs, **dict(zip(("then_branch", "else_branch"), branches)))

    def reshape(self, value: str, shape: Sequence[int], output: str) -> str:
        """Reshapes all axes but the batch."""
        target = self.weight(f"{output}/shape", [0, *shape], np.int64)
        return self.add("Reshape", [value, target], output)

    def build(self) -> onnx.ModelProto:
        """Returns the checked model. The same weights give the same bytes."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, list(self._weights.values())
        )
        model = helper.make_model(
            graph,
            producer_name="dancenet",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model
