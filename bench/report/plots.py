"""Every figure of a report: what draws it, its caption, and its words for who cannot see it."""

from bench.report.fig_autopsy import draw_autopsy
from bench.report.fig_books import draw_books
from bench.report.fig_convergence import draw_convergence
from bench.report.fig_cost import draw_costs, draw_latency
from bench.report.fig_distance import draw_distance
from bench.report.fig_images import draw_denoising, draw_ladder, draw_reverse
from bench.report.fig_movie import draw_movie
from bench.report.fig_pairs import draw_pairs
from bench.report.fig_perception import draw_levels, draw_overview
from bench.report.fig_restore import draw_noise
from bench.report.fig_robustness import draw_robustness
from bench.report.fig_roofline import draw_roofline, draw_training_memory
from bench.report.fig_samplers import draw_sampler_images, draw_samplers
from bench.report.fig_samples import draw_samples, draw_samples_by_steps
from bench.report.fig_smoothing import draw_smoothing
from bench.report.fig_steps import draw_lpips_steps, draw_psnr_steps, draw_ssim_steps
from bench.report.fig_theory import draw_theory
from bench.report.fig_training import draw_training
from bench.report.figure import Figure

ALONG = (
    "Mean over the images after every step; thick: the current sample, thin: the prediction of the "
    "clean image. Hollow mark: the best step, chosen on these images; upright ticks: what either "
    "half of the images would choose."
)
TRAINED = (
    "DnCNN and the autoencoder are those trained at one level (step 100) where the run has them, "
    "else those for each level, else the blind ones."
)
BETWEEN = (
    "A line runs from the noisy image over the steps of the restoration to its end, the sample; "
    "from there a thin one over shares of 1/4, 1/2 and 3/4 (hollow) to the posterior mean, which "
    "is one network call. Classic denoisers are points. Grey: the lower convex hull of all points, "
    "no lower than 0, bent by the logarithmic axes. Choosing at random between methods reaches it, "
    "so it is an upper bound on the perception-distortion function, which is convex and does not "
    "rise (Blau and Michaeli 2018) - up to the errors of the estimates, of which the lowest is "
    "optimistic. "
    f"{TRAINED}"
)


FIGURES = (
    Figure(
        "Parameters and multiply-adds",
        "Bars: counted here at full width. Diamonds: the paper's Table 5 and, for parameters, the "
        "authors' notebook (Figure 6).",
        "Bar chart of parameters and multiply-adds of the U-Net and of every continuous U-Net, "
        "with the published values as marks; Table 5 holds the numbers.",
        draw_costs,
    ),
    Figure(
        "Latency of one network call",
        "Median and quartiles; the networks of a panel took turns.",
        "Bar chart of the milliseconds of one network call per network and condition.",
        draw_latency,
    ),
    Figure(
        "Books",
        "What the groups of a network's parts add up to at full width, one call of batch 1; the "
        "number is the whole. Hatched: time that no part explains.",
        "Stacked bars of multiply-adds, parameters, bytes moved, activations and time by group of "
        "parts, one bar per network; the table Books holds the numbers.",
        draw_books,
    ),
    Figure(
        "Roofline",
        "Lines: what this machine reached with matrix products, convolutions and copies alone "
        "(solid: float32). Marks: the networks at full width in float32, the smallest batch "
        "filled. As nothing is taken as cached, a network may pass the slope.",
        "Log-log chart of multiply-adds a second against multiply-adds per byte, with the "
        "machine's measured limits as lines and a mark per network and batch.",
        draw_roofline,
    ),
    Figure(
        "Memory of training",
        "What autograd keeps for one training step against the evaluations of the ODEs: with the "
        "adjoint it does not grow.",
        "Line chart of kept memory against evaluations: flat with the adjoint, a rising line "
        "without.",
        draw_training_memory,
    ),
    Figure(
        "Distance against sampling steps",
        "Mean distance between generated and real images, with its 95 % interval; the ring marks "
        "each network's best number of steps by the panel's features, as in Table 1 for its own. "
        "Where there are no more images than feature dimensions, the kernel distance comes first.",
        "Line chart of the distance to real images against sampling steps, one line per network, "
        "with the distance of other real images as floor.",
        draw_distance,
    ),
    Figure(
        "Generated images",
        "Each network at its best number of steps; not selected: the first images of the set.",
        "Grids of generated images, one per network.",
        draw_samples,
        stem="samples",
    ),
    Figure(
        "Generated images by sampling steps",
        "A column starts from the same noise in every row.",
        "Rows of generated images, one row per network and number of sampling steps.",
        draw_samples_by_steps,
        stem="samples_by_steps",
    ),
    Figure(
        "Closest pairs",
        "The generated images that lie nearest to a training image in feature space, above that "
        "image; the closest pair first. Equal pictures would be memorised ones.",
        "Rows of generated images, each above the training image nearest to it.",
        draw_pairs,
        of_data=True,
        stem="closest_pairs",
    ),
    Figure(
        "SSIM along the restoration",
        f"{ALONG} SSIM is best where it is highest.",
        "Line charts of SSIM against reverse steps, one panel per noise level.",
        draw_ssim_steps,
    ),
    Figure(
        "LPIPS along the restoration",
        f"{ALONG} LPIPS is best where it is lowest.",
        "Line charts of LPIPS against reverse steps, one panel per noise level.",
        draw_lpips_steps,
    ),
    Figure(
        "PSNR along the restoration",
        f"{ALONG} PSNR is best where it is highest.",
        "Line charts of PSNR against reverse steps, one panel per noise level.",
        draw_psnr_steps,
    ),
    Figure(
        "Perception against distortion",
        f"{BETWEEN} Lower left is better.",
        "Line charts of LPIPS against one minus SSIM along the restoration, one panel per noise "
        "level, with classic denoisers as points and the lower convex hull of all points.",
        draw_overview,
    ),
    Figure(
        "Perception against distortion, level by level",
        f"{BETWEEN} Below: the distance of the restored images, as a set, to clean images that "
        "nobody restored, with 95 % intervals; dots are measured steps, dotted is what the clean "
        "originals score. LPIPS compares each image with its original and is no distance between "
        "distributions: there the hull bounds the best mean LPIPS at a distortion. It takes "
        "convexity, which the kernel distance has and the Fréchet distance need not have.",
        "Line charts of LPIPS and of the distance between sets against two distortions, with "
        "classic denoisers as points and the lower convex hull of all points.",
        draw_levels,
    ),
    Figure(
        "Scores against noise",
        "Best SSIM and LPIPS over the restoration's steps and of classic denoisers, with 95 % "
        f"intervals. {TRAINED}",
        "Two line charts: SSIM falls and LPIPS rises with the noise, one line per method.",
        draw_noise,
    ),
    Figure(
        "Denoising",
        f"The same noisy images for every method; diffusion at its best LPIPS step. {TRAINED}",
        "Grid of images: clean, noisy, and restored by each method, each with SSIM and LPIPS.",
        draw_denoising,
        of_data=True,
        stem="denoising",
    ),
    Figure(
        "The reverse process",
        "The first test image along the restoration by each network.",
        "Rows of images from noisy to restored, one row per network and noise level.",
        draw_reverse,
        of_data=True,
        stem="reverse_process",
    ),
    Figure(
        "The reverse process in motion",
        "The same image step by step, the current sample; the film repeats.",
        "Animation: noisy images become clean ones, a row per noise level, a column per network.",
        draw_movie,
        of_data=True,
        stem="reverse_process_movie",
    ),
    Figure(
        "Noise levels",
        "The same images at every noise level; shown clipped, used unclipped.",
        "Grid of images that grow noisier from left to right.",
        draw_ladder,
        of_data=True,
        stem="noise_ladder",
    ),
    Figure(
        "Samplers",
        "Distance against what an image costs: network calls, and seconds. Colour: the network; "
        "mark: the sampler; a thin line joins one sampler's numbers of steps. The stair is the "
        "Pareto front of all, its corners with 95 % intervals. Hollow: a control that starts from "
        "training images and is in no contest. Around 0 the scale is linear.",
        "Scatter charts of the distance to real images against network calls and against seconds "
        "per image, with the Pareto front as a stair; the table Samplers holds the numbers.",
        draw_samplers,
    ),
    Figure(
        "Samplers: images",
        "Not selected: the first images of each set. A column has the same noise in every row; "
        "samplers without noise of their own then show one image, more and less exactly.",
        "Grids of generated images: a row per sampler, a group of columns per number of steps.",
        draw_sampler_images,
        stem="sampler_images",
    ),
    Figure(
        "Training",
        "Loss of every update (thin) and its running mean; beside it, in each third of the noise "
        "range, the error of held-out images restored in one call.",
        "Line charts of the training loss and of the held-out error against updates, one line per "
        "network.",
        draw_training,
        stem="training",
    ),
    Figure(
        "Theory",
        "Checks on single blocks, on a mixture of Gaussians whose score is known exactly, and on "
        "trained networks. Dashed grey: what theory predicts, or the best that can be told apart.",
        "Line charts: residual of the second-order equation, orders of solvers and samplers, error "
        "and memory of the adjoint, distance of reverse processes; the table Theory holds the "
        "findings.",
        draw_theory,
    ),
    Figure(
        "Over-smoothing",
        "Left: power by spatial frequency, mean over the images. Right: the first images; one "
        "network call where nothing else is said. On the mixture of Gaussians the posterior is "
        "known exactly: its mean is the best estimate and smooth, a sample of it is neither. The "
        "networks that learnt the mixture are small and trained for this alone.",
        "Line charts of the power of clean images and of their estimates against spatial "
        "frequency, each beside a grid of those images.",
        draw_smoothing,
        stem="smoothing",
    ),
    Figure(
        "Robustness",
        "Top: how many times larger, relative to what they change, a perturbation comes out in the "
        "predicted clean image than it went in; along random directions, and along the one that "
        "is worst for a small perturbation. Middle: the ratio of both networks on the same image. "
        "Bottom: the largest singular value of every block's Jacobian at the states that it sees, "
        "and what the Lipschitz constant L of an ODE block's field allows. Geometric means over "
        "images with 95 % intervals.",
        "Line charts, a column for each noise level: change of the output against the size of a "
        "perturbation of the input, the ratio of both networks, and the stretch of every block "
        "along the depth; the table Theory holds the findings.",
        draw_robustness,
    ),
    Figure(
        "Convergence",
        "Small networks, several trainings each (thin) and their mean (thick). Top: distance to "
        "real images against sampling steps after equal effort of training; the dearer network is "
        "looked at where its effort is what the cheaper one's whole training took. Bottom: error "
        "of held-out images restored in one call, geometric mean over three noise levels, along "
        "the training.",
        "Line charts: kernel distance against sampling steps at equal updates, multiply-adds and "
        "seconds of training, and below each the held-out error against that effort, two "
        "networks; the table Theory holds the findings.",
        draw_convergence,
    ),
    Figure(
        "Gap autopsy",
        "From our number over the contribution of every choice of protocol to the number with all "
        "of them made otherwise; the rest to the paper's (dotted) is unexplained. Whiskers: 95 % "
        "intervals, in brackets what has 0 in it; ticks: each of the first ten images as the only "
        "one.",
        "Waterfall charts, a panel for each number of the paper; the tables Gap autopsy hold the "
        "numbers.",
        draw_autopsy,
    ),
)
