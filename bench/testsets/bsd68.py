"""BSD68: 68 natural pictures, grey."""

from bench.api import Kind, register
from bench.testsets._folder import FolderSet


@register(
    Kind.TESTSET,
    "bsd68",
    source="Roth, Black 2009, Fields of experts; Martin et al. 2001 (Berkeley segmentation)",
)
class Bsd68(FolderSet):
    """68 pictures of 481x321, upright or lying, of which none is in DnCNN's training set.

    Source: the files of the FFDNet authors' repository, which are those of DnCNN's.
    """

    name = "bsd68"
    folder = "BSD68"
    channels = 1
    count = 68
    licence = "non-commercial research (Berkeley)"
    pixels = "85a8104d262fbe9767173ed6d1481ad6056c7d3593ab1dfe15899d52604953d8"
