"""Street scenes in the style of a picture book: canvas, light, scenery and vehicles."""
