"""The operations that a forward pass is written in: small frozen records that own their facts.

A model's `forward(g, p, w)` calls the methods of `Graph`; the result is a tuple of `Node`s in order of evaluation.
Each operation stands under one name in three folders: here what it is, in `reference/` its meaning in float64, in a
backend how it is computed.
"""

from llamachat.engine.graph.adapters import Direction, LowRank
from llamachat.engine.graph.attention import Attention
from llamachat.engine.graph.bias import PositionBias
from llamachat.engine.graph.builder import Graph
from llamachat.engine.graph.columns import Columns, Concat
from llamachat.engine.graph.convolution import Convolution, Shift
from llamachat.engine.graph.elementwise import (
    Activation,
    Add,
    AddVector,
    Clamp,
    Glu,
    Mul,
    MulVector,
    Scale,
    SoftCap,
    Unary,
)
from llamachat.engine.graph.embed import AddPositions, Embed
from llamachat.engine.graph.encoder import CrossAttention, Encoded, TextAttention
from llamachat.engine.graph.experts import Choice, ClampedGlu, ExpertLinear, Mixture, Routing, ScaleRows, Share
from llamachat.engine.graph.given import Given
from llamachat.engine.graph.latent import HeadLinear, HeadMatrices, LatentAttention
from llamachat.engine.graph.linear import Linear
from llamachat.engine.graph.node import PAIRS, TOKENS, Layer, Node, Number, Role, Rows, Tensor, Use, pairs, states, uses
from llamachat.engine.graph.norm import Norm, NormKind
from llamachat.engine.graph.recurrent import DeltaRule, HeadScan, SelectiveScan, Steps
from llamachat.engine.graph.rotary import Rope, RopeOrder, RopeSpec, Temperature, TemperatureSpec
from llamachat.engine.graph.rwkv import Mix, Wkv6, Wkv7
from llamachat.engine.graph.squares import Squares

__all__ = [
    "PAIRS",
    "TOKENS",
    "Activation",
    "Add",
    "AddPositions",
    "AddVector",
    "Attention",
    "Choice",
    "Clamp",
    "ClampedGlu",
    "Columns",
    "Concat",
    "Convolution",
    "CrossAttention",
    "DeltaRule",
    "Direction",
    "Embed",
    "Encoded",
    "ExpertLinear",
    "Given",
    "Glu",
    "Graph",
    "HeadLinear",
    "HeadMatrices",
    "HeadScan",
    "LatentAttention",
    "Layer",
    "Linear",
    "LowRank",
    "Mix",
    "Mixture",
    "Mul",
    "MulVector",
    "Node",
    "Norm",
    "NormKind",
    "Number",
    "PositionBias",
    "RmsNorm",
    "Role",
    "Rope",
    "RopeOrder",
    "RopeSpec",
    "Routing",
    "Rows",
    "Scale",
    "ScaleRows",
    "SelectiveScan",
    "Share",
    "Shift",
    "SoftCap",
    "Squares",
    "Steps",
    "Temperature",
    "TemperatureSpec",
    "Tensor",
    "TextAttention",
    "Unary",
    "Use",
    "Wkv6",
    "Wkv7",
    "pairs",
    "states",
    "uses",
]
