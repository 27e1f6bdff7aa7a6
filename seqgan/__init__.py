"""SeqGAN (Yu, Zhang, Wang, Yu 2017), and the language model that all in-tree generators share."""
