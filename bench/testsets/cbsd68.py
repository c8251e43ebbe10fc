"""CBSD68: the pictures of BSD68 in colour."""

from bench.api import Kind, register
from bench.testsets._folder import FolderSet


@register(
    Kind.TESTSET,
    "cbsd68",
    source="Roth, Black 2009, Fields of experts; Martin et al. 2001 (Berkeley segmentation)",
)
class Cbsd68(FolderSet):
    """68 pictures of 481x321 in RGB, in the order of Berkeley's numbers: not that of BSD68.

    Source: the files of the FFDNet authors' repository, which are those of DnCNN's.
    """

    name = "cbsd68"
    folder = "CBSD68"
    channels = 3
    count = 68
    licence = "non-commercial research (Berkeley)"
    pixels = "7b00513f3f6f06e32b5aec1518cd7f1151b04eb020add787ffc6d3f6a76a2fbb"
