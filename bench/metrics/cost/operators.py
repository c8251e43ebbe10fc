"""Operators by what they cost: multiply-adds of three kinds, or, by an explicit list, none.

An operator that is neither counted nor listed here makes a count too low, so that it is named
instead of passed over.
"""

from collections.abc import Iterator

CONVOLUTION, LINEAR, PRODUCT = "convolution", "linear", "product"
KINDS = (CONVOLUTION, LINEAR, PRODUCT)
"""Kinds of multiply-adds: convolutions, products with a weight, products of two activations."""
COMPARED = ((CONVOLUTION,), (LINEAR, PRODUCT))
"""What counters are compared by: which operator applies a weight is a matter of names, and a
weight that is computed is an activation, so that the last two only agree together."""

LOOKUPS = frozenset("embedding index index_select gather _unsafe_index".split())
"""Operators that read as much of their first argument as they return, however large it is."""
UNTOUCHED = frozenset("empty empty_like empty_strided new_empty".split())
"""Operators that claim memory and neither read nor write it."""

FREE = frozenset(
    (
        # element by element
        "abs add addcmul addcdiv clamp clamp_min clamp_max cos div elu erf exp exp2 expm1 gelu "
        "hardsigmoid hardswish hardtanh leaky_relu log log1p maximum minimum mish mul neg pow "
        "prelu _prelu_kernel reciprocal relu relu6 rsqrt rsub selu sigmoid sign silu sin sinc "
        "softplus sqrt square sub tanh where threshold lerp lt le gt ge eq ne logical_and "
        "logical_or logical_not bitwise_and bitwise_or bitwise_not atan2 glu celu log_sigmoid "
        "log_sigmoid_forward nan_to_num fmod nextafter isclose hardshrink softshrink "
        "rrelu rrelu_with_noise "
        # reductions, softmax, pooling
        "amax amin aminmax avg_pool1d avg_pool2d avg_pool3d cumsum cumprod frobenius_norm "
        "linalg_norm linalg_vector_norm logsumexp max max_pool2d max_pool2d_with_indices mean min "
        "norm prod softmax _softmax _safe_softmax log_softmax _log_softmax sum var var_mean std "
        "argmax argmin any all count_nonzero sort topk _unique2 unique_dim _weight_norm "
        "_weight_norm_interface "
        # moving data about
        "cat stack embedding index index_select gather scatter repeat repeat_interleave expand_as "
        "roll pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d "
        "pixel_shuffle pixel_unshuffle channel_shuffle flip copy clone contiguous fill "
        "masked_fill one_hot unfold im2col col2im meshgrid tile movedim _to_copy _unsafe_index "
        "index_put nonzero hstack vstack concat concatenate unflatten ravel swapaxes swapdims "
        "view_as reshape_as diagonal as_strided adjoint rot90 unsafe_chunk unsafe_split narrow "
        "select slice type_as to tril triu transpose view_as_real view_as_complex "
        # making numbers
        "arange linspace eye full full_like ones ones_like zeros zeros_like empty empty_like "
        "empty_strided new_zeros new_ones new_full new_empty rand_like randn_like randn rand "
        "uniform normal normal_functional bernoulli scalar_tensor zero "
        "dropout feature_dropout native_dropout alias lift lift_fresh lift_fresh_copy numpy_T mT "
        "floor floor_divide floordiv remainder round ceil trunc isfinite isnan isinf tensor "
        "broadcast_tensors item _local_scalar_dense is_nonzero equal detach Float Bool "
        "FloatImplicit IntImplicit"
    ).split()
)
"""Operators without multiply-adds, by name: `add` also stands for `add_`, which works in place.

A name without a library is torch's own, `aten`; others are written in full: `library::name`."""

COUNTED_BY_FVCORE = frozenset(
    "batch_norm group_norm instance_norm layer_norm upsample_nearest2d upsample_bilinear2d "
    "adaptive_avg_pool2d grid_sampler".split()
)
"""Operators of a few operations per element that fvcore counts, and torch's counter does not."""

SMALL = COUNTED_BY_FVCORE | frozenset(
    (
        "rms_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
        "cudnn_batch_norm native_group_norm native_layer_norm _fused_rms_norm "
        "upsample_nearest1d upsample_nearest3d _upsample_nearest_exact2d "
        "upsample_linear1d upsample_bicubic2d upsample_trilinear3d "
        "_upsample_bilinear2d_aa _upsample_bicubic2d_aa "
        "adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_max_pool2d grid_sampler_2d"
    ).split()
)
"""Operators of a few operations per element."""


def costs_nothing(name: str) -> bool:
    """Return whether an operator such as `aten::add_` is known to have no multiply-adds."""
    return is_among(name, FREE) or is_among(name, SMALL)


def is_among(name: str, listed: frozenset[str]) -> bool:
    """Return whether an operator, in place or not, is on a list; its name is a full one."""
    short = name.removeprefix("aten::")
    return not {short, short.removesuffix("_")}.isdisjoint(listed)


def full_names(listed: frozenset[str]) -> Iterator[str]:
    """Yield the full names of the operators on a list, in place and not."""
    for name in listed:
        yield from (f"{name if '::' in name else f'aten::{name}'}{end}" for end in ("", "_"))
