"""U-Net (Ronneberger, Fischer, Brox, MICCAI 2015), reproduced: the paper's parts as small plain modules."""

__version__ = "0.1.0"
