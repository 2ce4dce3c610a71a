"""What adapters share: networks of MONAI, diffusion, files, and the frame that trains and samples them."""
