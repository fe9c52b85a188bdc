"""Known poses: our cryodrgn against cryoDRGN 4.3.1 train_vae, same work, paired in one run."""
