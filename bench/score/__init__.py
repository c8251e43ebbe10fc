"""Scoring what somebody else made: sets of pictures, and denoising networks, without a plug-in."""
