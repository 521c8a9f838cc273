"""LoRA adapters and control vectors: files that change a model while it runs; its own weights stay as they are.

`Adapters` says which are asked for. `open_adapters` reads and checks them against a model's tensors; `Opened.woven`
writes their operations into its forward pass.
"""

from llamachat.engine.adapters.choice import NONE, Adapters, Scaled
from llamachat.engine.adapters.opened import Opened, Woven, open_adapters

__all__ = ["NONE", "Adapters", "Opened", "Scaled", "Woven", "open_adapters"]
