"""Current types for images and video: shapes, masks, objects through frames."""
