"""The operations that a forward pass is written in: small frozen records that own their facts.

A model's `forward(g, p, w)` calls the methods of `Graph`; the result is a tuple of `Node`s in order of evaluation.
Each operation stands under one name in three folders: here what it is, in `reference/` its meaning in float64, in a
backend how it is computed.
"""

from llamachat.engine.graph.attention import Attention
from llamachat.engine.graph.builder import Graph
from llamachat.engine.graph.elementwise import Activation, Add, Glu
from llamachat.engine.graph.embed import Embed
from llamachat.engine.graph.linear import Linear
from llamachat.engine.graph.node import Layer, Node, Role, Rows, Tensor, Use, states, uses
from llamachat.engine.graph.norm import RmsNorm
from llamachat.engine.graph.rotary import Rope, RopeOrder, RopeSpec

__all__ = [
    "Activation",
    "Add",
    "Attention",
    "Embed",
    "Glu",
    "Graph",
    "Layer",
    "Linear",
    "Node",
    "RmsNorm",
    "Role",
    "Rope",
    "RopeOrder",
    "RopeSpec",
    "Rows",
    "Tensor",
    "Use",
    "states",
    "uses",
]
