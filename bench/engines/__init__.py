"""Engines: ways to run the same network with the same numbers; a comparison uses one for all.

An engine is prepared for a network and for inputs of one shape, and gives what is called in its
place, for inference. Each takes `dtype`: `bfloat16` runs convolutions and products in bfloat16
(`torch.autocast`) while sums, normalisations' statistics and the states of ODEs stay in float32.
"""
