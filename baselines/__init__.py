"""The generators that SeqGAN is compared with; one file per algorithm."""
