"""What a trajectory stands for: frames or joints to vectors in model units, and back."""
