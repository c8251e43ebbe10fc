"""Wrong lines that the tests of the metrics must notice. To add one: file, text, text, reason.

The text to be replaced stands in the file exactly once; `plant.py` says when it does not any more.
"""

from plant import Wrong

_FIDELITY = "bench/metrics/fidelity.py"
_SSIM = "bench/metrics/ssim.py"
_LPIPS = "bench/metrics/lpips.py"
_GUARD = "bench/metrics/guard.py"
_FRECHET = "bench/metrics/distances.py"
_MOMENTS = "bench/metrics/moments.py"
_KERNEL = "bench/metrics/kernel.py"
_MANIFOLD = "bench/metrics/manifold.py"
_BATCHES = "bench/batches.py"
_STATISTICS = "bench/statistics.py"
_SCORING = "bench/tasks/scoring.py"
_RATIO = "bench/metrics/ratio.py"
_AUDIT = "bench/metrics/audit.py"
_COST = "bench/metrics/cost"

_TESTS = {
    **dict.fromkeys((_FIDELITY, _SSIM, _LPIPS, _BATCHES, _SCORING), ("images", "properties")),
    **dict.fromkeys((_FRECHET, _MOMENTS, _KERNEL, _STATISTICS), ("distances",)),
    _MANIFOLD: ("manifold",),
    _GUARD: ("guard", "contract"),
    _RATIO: ("timing",),
    _AUDIT: ("audit",),
}
"""What is to notice a wrong line, by file."""
_COUNTERS = ["cost", "cost_layers", "cost_operators", "books"]


def _wrong(name: str, file: str, old: str, new: str, why: str) -> Wrong:
    return Wrong(
        name, file, old, new, why, [f"tests/metrics/test_metrics_{a}.py" for a in _TESTS[file]]
    )


def _cost(name: str, file: str, old: str, new: str, why: str) -> Wrong:
    tests = [f"tests/metrics/test_metrics_{a}.py" for a in _COUNTERS]
    return Wrong(name, f"{_COST}/{file}.py", old, new, why, tests)


def _task(name: str, file: str, old: str, new: str, why: str) -> Wrong:
    seen_by = {"made": "sample", "properties": "properties"}.get(file, "cost_ledger")
    tests = [f"tests/tasks/test_tasks_{seen_by}.py"]
    return Wrong(name, f"bench/tasks/{file}.py", old, new, why, tests)


def _fast(name: str, file: str, old: str, new: str, why: str) -> Wrong:
    return Wrong(name, f"models/{file}.py", old, new, why, ["tests/models/test_models_halved.py"])


def _engine(name: str, old: str, new: str, why: str) -> Wrong:
    return Wrong(name, "bench/engines/packed.py", old, new, why, ["tests/engines/test_engines.py"])


def _classic(name: str, old: str, new: str, why: str, file: str = "tasks/classics") -> Wrong:
    return Wrong(name, f"bench/{file}.py", old, new, why, ["tests/tasks/test_tasks_classics.py"])


_LIST = [
    # ---------------------------------------------------------------- PSNR
    _wrong("psnr-20", _FIDELITY, "-10 * torch.log10", "-20 * torch.log10", "of a squared error"),
    _wrong("psnr-range-255", _FIDELITY, "-10 * torch.log10(", "48.1308 - 10 * torch.log10(", "255"),
    _wrong("psnr-range-2", _FIDELITY, "-10 * torch.log10(", "6.0206 - 10 * torch.log10(", "2"),
    _wrong("psnr-natural", _FIDELITY, "torch.log10", "torch.log", "natural logarithm"),
    _wrong("mse-batch", _FIDELITY, ".mean(dim=1)", ".mean().expand(len(x))", "one for the batch"),
    _wrong("mse-single", _FIDELITY, "x.double() - y.double()", "x - y", "loses a digit of a tie"),
    # ---------------------------------------------------------------- SSIM
    _wrong("ssim-k1", _SSIM, "\nK1 = 0.01", "\nK1 = 0.1", "constant"),
    _wrong("ssim-k2", _SSIM, "\nK2 = 0.03", "\nK2 = 0.3", "constant"),
    _wrong("ssim-sigma", _SSIM, "SIGMA = 1.5", "SIGMA = 1.0", "another window"),
    _wrong("ssim-window-size", _SSIM, "WINDOW = 11\n", "WINDOW = 9\n", "another window"),
    _wrong("ssim-range-2", _SSIM, "xy), data_range=1.0", "xy), data_range=2.0", "LlamaGen"),
    _wrong("ssim-range-255", _SSIM, "xy), data_range=1.0", "xy), data_range=255", "255"),
    _wrong("ssim-sample", _SSIM, "unbias: float = 1.0", "unbias: float = 49 / 48", "covariance"),
    _wrong("ssim-squares", _SSIM, "(K1 * data_range) ** 2", "K1 * data_range", "no square"),
    _wrong(
        "ssim-mean-term", _SSIM, "2 * unbias * (xy - product)", "2 * unbias * xy", "not centred"
    ),
    _wrong("ssim-batch", _SSIM, ".flatten(1).mean(dim=1)", ".mean().expand(len(x))", "one a batch"),
    _wrong("authors-range-1", _SSIM, "NOTEBOOK_RANGE = 2.0", "NOTEBOOK_RANGE = 1.0", "no variant"),
    _wrong("authors-window", _SSIM, "NOTEBOOK_WINDOW = 7", "NOTEBOOK_WINDOW = 11", "no variant"),
    _wrong("authors-population", _SSIM, "pixels / (pixels - 1)", "1.0", "not scikit-image"),
    # --------------------------------------------------------------- LPIPS
    _wrong(
        "lpips-input",
        _LPIPS,
        "2 * trunk.enlarged(images) - 1 -",
        "trunk.enlarged(images) -",
        "nerfstudio, RAE, DisCo",
    ),
    _wrong(
        "lpips-normalise",
        _LPIPS,
        "tap / (torch.linalg.vector_norm(",
        "tap / (1 + 0 * torch.linalg.vector_norm(",
        "no unit length",
    ),
    _wrong("lpips-heads", _LPIPS, ".square() * head)", ".square())", "no heads"),
    _wrong("lpips-root", _LPIPS, "(a - b).square()", "(a - b).abs()", "no square"),
    _wrong("lpips-mean", _LPIPS, "self.mean) / self.std", "0 * self.mean) / self.std", "no shift"),
    # ------------------------------------------------------------- Frechet
    _wrong("frechet-mean", _FRECHET, "gap.square().sum() + traces", "traces", "means"),
    _wrong("frechet-factor-2", _FRECHET, "traces - 2 * overlap", "traces - overlap", "factor"),
    _wrong("frechet-root", _FRECHET, "gap.square().sum()", "gap.norm()", "not squared"),
    _wrong("frechet-population-a", _FRECHET, "math.sqrt(a.count - 1)", "math.sqrt(a.count)", "n"),
    _wrong("frechet-population-b", _FRECHET, "math.sqrt(b.count - 1)", "math.sqrt(b.count)", "n"),
    _wrong("frechet-trace", _FRECHET, " + root_b.square().sum()", "", "one trace"),
    _wrong("moments-centre", _MOMENTS, "block - mean", "block", "not centred"),
    _wrong(
        "moments-weight",
        _MOMENTS,
        "math.sqrt(count * block.count / total)",
        "math.sqrt(count / total)",
        "the weight of the means' difference",
    ),
    _wrong(
        "moments-merge",
        _MOMENTS,
        "mean + shift * (block.count / total)",
        "mean + shift / 2",
        "unequal parts",
    ),
    _wrong(
        "jackknife-factor",
        _STATISTICS,
        "math.sqrt((blocks - 1) * float",
        "math.sqrt(float",
        "too narrow by the root of blocks - 1",
    ),
    _wrong(
        "jackknife-freedom",
        _STATISTICS,
        "self.standard_error, len(self.deleted) - 1, confidence",
        "self.standard_error, 1000, confidence",
        "the normal's quantile",
    ),
    # -------------------------------------------------------------- kernel
    _wrong("kid-diagonal", _KERNEL, "sums[i, j] -= kernel.diagonal().sum()", "pass", "biased"),
    _wrong("kid-power", _KERNEL, "+ 1) ** 3", "+ 1) ** 2", "another kernel"),
    _wrong("kid-dimension", _KERNEL, ".T / a.shape[1] + 1)", ".T + 1)", "not divided by D"),
    _wrong("kid-offset", _KERNEL, " / a.shape[1] + 1)", " / a.shape[1])", "no constant"),
    _wrong("kid-cross", _KERNEL, "within - 2 * ab", "within - ab", "factor"),
    # ------------------------------------------- precision, recall, guard, bytes
    _wrong(
        "manifold-swapped",
        _MANIFOLD,
        '    check_features(generated, "generated", like=',
        '    real, generated = generated, real\n    check_features(generated, "generated", like=',
        "torch-fidelity, until the day before its release 0.4.0",
    ),
    _wrong(
        "manifold-itself",
        _MANIFOLD,
        "[nearest[:, k] for k in",
        "[nearest[:, k - 1] for k in",
        "an image is its own first neighbour",
    ),
    _wrong(
        "manifold-density",
        _MANIFOLD,
        "balls / (many * len(generated))",
        "balls / len(generated)",
        "not in units of k",
    ),
    _wrong(
        "guard-nan",
        _GUARD,
        "if not (math.isfinite(low) and math.isfinite(high)):",
        "if False:",
        "torchmetrics: the process dies",
    ),
    _wrong(
        "guard-range", _GUARD, "if low < -TOLERANCE or high > 1 + TOLERANCE:", "if False:", "F10"
    ),
    _wrong("guard-low", _GUARD, "if low < -TOLERANCE or", "if", "[-1, 1] is let through"),
    _wrong("guard-tolerance", _GUARD, "TOLERANCE = 1e-6", "TOLERANCE = 1e-1", "no clamp"),
    _wrong(
        "guard-half",
        _GUARD,
        "(torch.float32, torch.float64)",
        "(torch.float32, torch.float64, torch.bfloat16)",
        "grey levels are lost",
    ),
    _wrong("guard-overflow", _GUARD, "if max(-low, high) > LARGEST:", "if False:", "0 for a NaN"),
    _wrong("bytes-truncated", _BATCHES, ".round()", "", "torchmetrics: half a level too dark"),
    _wrong("bytes-wrapped", _BATCHES, "images.clamp(0, 1).mul", "images.mul", "torchmetrics: 1.01"),
    _wrong("bytes-256", _BATCHES, ".div_(255)", ".div_(256)", "white is not 1"),
    _wrong(
        "score-unclamped", _SCORING, "shown = estimate.clamp(0, 1)", "shown = estimate", "clamp"
    ),
    # --------------------------------------------------- counters, and books that close
    _cost("authors-groups", "authors", "(x.shape[1] // layer.groups)", "x.shape[1]", "groups"),
    _cost("authors-affine", "authors", "(4 if affine else 2)", "2", "weights of a norm are free"),
    _cost("authors-bilinear", "authors", '"bilinear": 11', '"bilinear": 4', "another rule"),
    _cost("authors-positional", "authors", ", with_kwargs=True", "", "layer(input=x)"),
    _cost("layers-transposed", "layers", "given[0] if isinstance", "output if isinstance", "side"),
    _cost("layers-products", "layers", "PRODUCT: 2 * pairs", "PRODUCT: pairs", "q k^T alone"),
    _cost(
        "call-order",
        "run",
        "return list(bound.arguments.values())",
        "return [*args, *kwargs.values()]",
        "attention(key=k, value=k, query=q)",
    ),
    _cost("ledger-flops", "ledger", "out_val=output) // 2", "out_val=output)", "GFLOPs for GMACs"),
    _cost("ledger-views", "ledger", "if written and not made and", "if False and", "a view moves"),
    _cost(
        "ledger-tables",
        "ledger",
        "written if is_among(name, LOOKUPS) else read[:1]",
        "read[:1]",
        "a look-up reads the whole table",
    ),
    _cost("ledger-weights", "ledger", "LINEAR if any(", "PRODUCT if any(", "no linear layers"),
    _cost("sides-shared", "sides", "list(dict.fromkeys(", "list((", "one side, three hooks"),
    _cost("sides-trusted", "sides", "if told != counted:", "if False:", "takes their word"),
    _cost(
        "matmul-broadcast",
        "products",
        "math.prod(out) * a[-1]",
        "math.prod(a) * out[-1]",
        "fvcore: a weight on the left of a batch",
    ),
    _cost("einsum-elementwise", "products", "if summed:", "if True:", "fvcore: no sum, still MACs"),
    _cost(
        "functions-closed",
        "traced",
        "Function.apply = classmethod(_forward)",
        "pass",
        "a function's forward pass is one unknown operator",
    ),
    _cost(
        "attention-fused",
        "run",
        "torch.no_grad(), sdpa_kernel(SDPBackend.MATH)",
        "torch.no_grad()",
        "a fused kernel is invisible",
    ),
    _cost("mebibytes", "files", "MIB = 2**20", "MIB = 10**6", "megabytes"),
    _cost(
        "kept-peak",
        "training",
        "self.peak = max(self.peak, self.now)",
        "self.peak = self.now",
        "the last is not the most",
    ),
    _cost("input-changed", "sound", "if changed:", "if False:", "a second call sees other data"),
    _task(
        "gap-of-the-whole",
        "cost",
        "max(a, b, 1)",
        "max(*map(sum, sums), 1)",
        "linear layers are 0.03 % of a U-Net: none of them could be missed",
    ),
    _task(
        "gap-of-fvcore-alone",
        "cost",
        "counters_gap(books.layers.forms, books.layers.counted)",
        "0",
        "closed forms are shown and not compared",
    ),
    _task(
        "books-of-sums",
        "books",
        "whole_account(network, *inputs)\n",
        "keep_books(network, *inputs).total\n",
        "a sum always equals itself",
    ),
    # ----------------------------------------------------------------------- latency
    _wrong("ratio-rank", _RATIO, "        rank = below + 1", "        rank = below + 2", "narrow"),
    _wrong("ratio-one-sided", _RATIO, "2 * outside >", "outside >", "holds at 90 %"),
    _wrong("ratio-lower-median", _RATIO, "+ ratios[count // 2]) / 2", "+ ratios[0]) / 2", "middle"),
    _wrong("ratio-upside-down", _RATIO, "sorted(a / b for", "sorted(b / a for", "inverted"),
    _wrong("audit-relative", _AUDIT, "abs().max()) / largest", "abs().max())", "absolute"),
    _wrong("audit-nan", _AUDIT, "not self.output_error <=", "self.output_error >", "NaN passes"),
    _wrong("audit-varied", _AUDIT, "        if self.vary:\n", "        if False:\n", "one input"),
    _wrong("audit-shape", _AUDIT, "expected.shape != call", "() != () and call", "broadcasts"),
    _wrong("audit-cold", _AUDIT, "warmup=1", "warmup=0", "misses a cache half the time"),
    _wrong("ratio-lucky-side", _RATIO, "max(self.high", "min(self.high", "the narrower side"),
    # ------------------------------------------------------------------- speed
    _fast("halved-weights", "halved", "scheme.weights, vel", "scheme.matrix[-1], vel", "last row"),
    _fast("halved-half", "halved", "_halves(state)[1]", "_halves(state)[0]", "z for v"),
    _fast("halved-time", "halved", "s + node * h, state", "s, state", "all stages at one time"),
    _fast("halved-start", "halved", "                start = end\n", "", "the last slope alone"),
    _fast("norm-mixed", "blocks", "B * norm.num_groups", "norm.num_groups", "images in one group"),
    _fast("film-shift", "blocks", "norm.bias * (1 + a) + b", "norm.bias + b", "shift not scaled"),
    _engine("packed-strides", "list(conv.stride)", "[1, 1]", "another convolution"),
    _engine("packed-mixing", "if not _same(cut(*inputs), expected):", "if False:", "mixed images"),
    _engine("packed-dtype", "x.to(self.dtype), self.weight", "x, self.weight", "two precisions"),
    # ------------------------------------------------------------------- what plug-ins do
    _task("made-calls", "made", "seen != last.calls * len(x)", "False", "believes the sampler"),
    _task("made-batches", "made", "seen += len(given[0])", "seen += len(x)", "parts count whole"),
    _task("made-noise", "made", "if last.t != 0:", "if False:", "noise left in the images"),
    _task("step-zeros", "properties", "alpha=SHAKEN", "alpha=0.0", "zeros of a first layer"),
    _task("step-same", "properties", "in (0, 999, 0))", "in (0, 0, 0))", "one step, twice"),
    _task("batch-alone", "properties", "network(x, _steps(x, 0))[:1]", "early", "no neighbours"),
    # ------------------------------------------------------------------- published test sets
    _classic("classics-level", "clean + level.sigma *", "clean + 0.1 *", "one level for all"),
    _classic("classics-by-place", "*about, images=[index])(clean)", "images=[0])(clean)", "shared"),
    _classic(
        "classics-bytes", "rounded = to_bytes(shown).float() / 255", "rounded = shown", "no 8 bits"
    ),
    _classic("classics-part", "every[: spec", "every[1 : spec", "leaves out the first"),
    _classic(
        "floor-half", "value[:-1] + 0.5", "value[:-1] + 1.0", "rounds up", "metrics/noise_floor"
    ),
    _classic(
        "floor-mean",
        "@ torch.from_numpy(counts).double()) / picture.size",
        ".mean())",
        "of all greys, not the picture's",
        "metrics/noise_floor",
    ),
]
WRONG = {wrong.name: wrong for wrong in _LIST}
