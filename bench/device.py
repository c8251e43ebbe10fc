"""The device that cells are measured on."""

from bench.errors import BenchError


def chosen_device(asked: str) -> str:
    """Return "cpu" or "cuda".

    Raises:
        BenchError: If the device is unknown, or CUDA is asked for where there is none.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise BenchError(f"--device {asked}: expected auto, cpu or cuda")
    if asked == "cpu":
        return asked
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise BenchError(
            "--device cuda: torch finds no CUDA device here; use --device cpu, or install a CUDA "
            "build of torch"
        )
    return "cpu"
