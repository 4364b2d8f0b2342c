"""Pictures: of images and errors, of the network, and those that a reader can change."""
