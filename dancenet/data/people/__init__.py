"""People in pictures: where they are, their keypoints, their silhouettes, their joints in space."""
