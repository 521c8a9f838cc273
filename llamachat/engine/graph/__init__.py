"""The operations that a forward pass is written in: small frozen records that own their facts.

A model's `forward(g, p, w)` calls the methods of `Graph`; the result is a tuple of `Node`s in order of evaluation.
Each operation stands under one name in three folders: here what it is, in `reference/` its meaning in float64, in a
backend how it is computed.
"""

from llamachat.engine.graph.attention import Attention
from llamachat.engine.graph.builder import Graph
from llamachat.engine.graph.elementwise import Activation, Add, Glu
from llamachat.engine.graph.embed import Embed
from llamachat.engine.graph.experts import Choice, ClampedGlu, ExpertLinear, Mixture, Routing, ScaleRows, Share
from llamachat.engine.graph.given import Given
from llamachat.engine.graph.linear import Linear
from llamachat.engine.graph.node import TOKENS, Layer, Node, Number, Role, Rows, Tensor, Use, pairs, states, uses
from llamachat.engine.graph.norm import RmsNorm
from llamachat.engine.graph.rotary import Rope, RopeOrder, RopeSpec

__all__ = [
    "TOKENS",
    "Activation",
    "Add",
    "Attention",
    "Choice",
    "ClampedGlu",
    "Embed",
    "ExpertLinear",
    "Given",
    "Glu",
    "Graph",
    "Layer",
    "Linear",
    "Mixture",
    "Node",
    "Number",
    "RmsNorm",
    "Role",
    "Rope",
    "RopeOrder",
    "RopeSpec",
    "Routing",
    "Rows",
    "ScaleRows",
    "Share",
    "Tensor",
    "Use",
    "pairs",
    "states",
    "uses",
]
