"""Current types for lidar: frames of points go in, a file of answers comes out."""
