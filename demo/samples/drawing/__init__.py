"""Street scenes in the manner of a picture book: a canvas, the light of day, what stands and drives there."""
