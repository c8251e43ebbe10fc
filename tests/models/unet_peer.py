"""Our U-Net's weights under the names of the package that the paper's code took it from."""

import re

from torch import Tensor

NAMES = (
    (r"^stem\.", "init_conv."),
    (r"^head\.", "final_conv."),
    (r"^final\.", "final_res_block."),
    (r"^middle(\d)\.", r"mid_block\1."),
    (r"^middle_attend\.inner\.", "mid_attn."),
    (r"^time\.inner\.", "time_mlp.1."),
    (r"^time\.outer\.", "time_mlp.3."),
    (r"^(downs|ups)\.(\d)\.block1\.", r"\1.\2.0."),
    (r"^(downs|ups)\.(\d)\.block2\.", r"\1.\2.1."),
    (r"^(downs|ups)\.(\d)\.attend\.inner\.", r"\1.\2.2."),
    (r"^(downs|ups)\.(\d)\.(?:shrink|grow)\.", r"\1.\2.3."),
    (r"^(ups\.3\.3\.)0\.", r"\1"),  # the last one only convolves
    (r"\.conv(\d)\.", r".block\1.proj."),
    (r"\.norm(\d)\.", r".block\1.norm."),
    (r"\.film\.linear\.", ".mlp.1."),
    (r"\.shortcut\.", ".res_conv."),
    (r"\.qkv\.", ".to_qkv."),
    (r"\.out\.", ".to_out."),
    (r"\.out_norm\.gain$", ".to_out.1.g"),
    (r"\.norm\.gain$", ".norm.g"),
)


def renamed(weights: dict[str, Tensor], theirs: set[str]) -> dict[str, Tensor]:
    """Return the weights by their names; a linear attention's output is the first of two layers."""
    found = {}
    for name, weight in weights.items():
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        if name not in theirs:
            name = name.replace(".to_out.", ".to_out.0.")
        found[name] = weight
    return found
