"""The generators that SeqGAN is compared with; one algorithm, one file."""
