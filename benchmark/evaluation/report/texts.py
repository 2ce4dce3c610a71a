"""The texts of the report: verdicts, detectors, planted copies, limits, glossary. Plain English."""

from __future__ import annotations

from benchmark.evaluation.verdict import ABOVE, TOO_WEAK
from benchmark.records.columns import FURTHER, LINES

RECALL_HEADLINE = "detector.recall_headline."
UNIT = "\u00a0%"
"""With a space at which no line is broken."""
MISSED = 0.5
"""Copies of which fewer than this share are found are named among the limits."""

HEADLINES = {
    "hold": "Hold: copies of training images were found",
    "nothing found": "Nothing found",
    "cannot tell": "Cannot tell: this is not an all-clear",
}
WEAK = {
    TOO_WEAK: "Nothing found, but this audit was too weak",
    ABOVE: "Nothing found, but the upper end is above the limit",
}
"""Headlines of nothing found that are no all-clear, by exit code."""
NEXT = {
    "hold": (
        "Do not release these images as they are. Look at the suspects below, worst first. Every suspect is withheld "
        "unless you decide to keep it. Then audit the set without them again."
    ),
    "nothing found": (
        "This is no proof that there are no copies. It says that copies of the kinds below, at the share given below, "
        "would have been seen."
    ),
    "cannot tell": (
        "This audit could not answer the question, so it does not support a release. An empty or short list of "
        "suspects means nothing here. The reason is given above; the section on limits says what is missing."
    ),
}
NO_SUSPECT = {
    "hold": "No single image stands out enough to be listed, although the set as a whole holds copies.",
    "nothing found": "No image was listed.",
    "cannot tell": "No image was listed. As this audit could not tell, that is not evidence of no copies.",
}
DETECTORS = {
    "pixels": "Comparison of grey values",
    "copy": "Trained copy detector",
    "dar2025": "Copy detector of Dar et al.",
    "ssim": "Structural similarity",
    "local": "Comparison of parts of images",
    "frozen": "Pretrained network",
    "random-conv": "Random convolutions",
}
"""Names of detectors in words."""
PLANTED = {
    "exact": "Identical copy",
    "flip": "Mirrored left to right",
    "rotate5": "Rotated by 5 degrees",
    "rotate15": "Rotated by 15 degrees",
    "shift": "Shifted by 5 % of the field of view",
    "crop": "Cropped by 10 % and enlarged",
    "contrast": "Contrast changed (gamma 1.4)",
    "blur": "Blurred (1 pixel)",
    "noise": "Noise of 5 % of the grey range",
    "resample": "Half the resolution",
    "deform": "Deformed by 1 % of the field of view",
    "recode": "JPEG, quality 75",
    "autoencoder": "Passed through the model's own autoencoder",
    "local16": "Only a part copied: 16 % of the image",
    "local25": "Only a part copied: 25 % of the image",
}
"""Planted copies in words, in the order of the page."""
REASONS = {
    "verbatim": "nearly identical: closer than any two different patients here",
    "nearest": "closer to this patient than any synthetic image is to a held-out patient",
    "full size": "no detector was sure, but aligned at full size it is far more alike than any held-out patient",
}
CONFIDENCE = {"near-certain": "near-certain", "review": "to review"}
HISTOGRAMS = {
    "synthetic-to-train": "synthetic to training",
    "test-to-train": "held-out (test part) to training",
    "synthetic-to-heldout": "synthetic to held-out",
}
GLOSSARY = (
    ("Training images", "The images that the generative model was trained on."),
    (
        "Held-out images",
        (
            "Real images of other patients from the same source, which the model has never seen. They show how alike "
            "images of different patients are by chance. Without them nobody can tell a copy from a coincidence."
        ),
    ),
    ("Synthetic images", "The images that the model made, and that are to be released."),
    ("Suspect", "A synthetic image that looks like one particular training patient. It is withheld unless kept."),
    ("Detector", "A method that gives two images a similarity. Each detector sees other kinds of copies."),
    ("Similarity", "A number up to 1 that a detector gives to two images; 1 means the same. Compare only within one."),
    (
        "Full-size correlation",
        (
            "Pearson's correlation of the two images at full size after one is moved onto the other (shift, rotation, "
            "scale, shear, mirror). 1 means the same up to brightness and contrast."
        ),
    ),
    ("Near-certain", "Nearly identical, or more alike at full size than every suspect is to its held-out image."),
    ("To review", "Too similar for chance by the detector, but a person should look."),
    ("Local similarity", "The correlation within a small window around each point. It shows which part is copied."),
    (
        "Threshold of the verdict",
        "Copies less similar than this are not counted. It is set by the held-out patients in each audit.",
    ),
    (
        "Threshold tau",
        "The similarity that 5 % of held-out images exceed by chance when compared with training images.",
    ),
    (
        "95 % interval",
        "The range that holds the true number in 95 of 100 audits like this one.",
    ),
    (
        "Would have been seen",
        "The smallest share of copies for which an audit of this size finds something with 95 % probability.",
    ),
    ("Planted copy", "A training image that we altered and hid on purpose, to measure what each detector finds."),
    ("Window and level", "The range of grey values between black and white, and its centre."),
    ("Digest", "A fingerprint of files or pixels. The same digest means the same data."),
)
FIXED_LIMITS = (
    "Only the synthetic images that were given were examined. The model may make copies in other samples.",
    "Copies were searched among the given training images. Images of an earlier pretraining were not compared.",
    "The audit looks for copies of images. It does not test what else could be inferred: membership, attributes, text.",
    "Thresholds need held-out patients who are like the training patients, from the same scanners, places and years.",
    "A suspect is a likeness measured by a program. Whether it shows a patient is for a person to decide.",
)
MEANINGS = {line.id: line.meaning for line in (*LINES, *FURTHER)}
DIGITS = {line.id: line.digits for line in (*LINES, *FURTHER)} | dict.fromkeys(
    ("withheld.false_items", "heldout.exposed", "growth.times10", "growth.times100"), 0
)
"""Digits behind the point, by score; 3 where nothing is said."""
