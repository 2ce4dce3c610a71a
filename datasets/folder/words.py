"""Words by which the folders and files of medical images are named, and what such a name can stand for."""

from __future__ import annotations

import re
import unicodedata


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SPLITS = {
    "train": "train", "training": "train", "trainset": "train", "tr": "train", "imagestr": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "tuning": "val",
    "test": "test", "testing": "test", "testset": "test", "ts": "test", "imagests": "test", "holdout": "test",
}  # fmt: skip
"""Names of folders of a published split, in lower case, and the split they stand for."""

CLASSES = _words(
    "normal abnormal healthy sick ill disease diseased control controls case cases positive negative pos neg yes no "
    "benign malignant cancer nocancer tumor tumour notumor glioma meningioma pituitary lesion nolesion nodule mass "
    "pneumonia bacteria bacterial virus viral covid tuberculosis tb effusion cardiomegaly edema oedema fracture "
    "fractured opacity lungopacity pneumothorax atelectasis drusen cnv dme amd glaucoma cataract dr nodr mild moderate "
    "severe proliferate proliferative demented nondemented mci ad cn hc dementia hemorrhage haemorrhage stroke infarct "
    "stone cyst kidney aca scc adenocarcinoma melanoma nevus idc real fake synthetic pathological pathology acl "
    "meniscus male female m f infected uninfected parasitized unremarkable finding nofinding "
    "gesund gesunde krank kranke unauffällig unauffaellig auffällig auffaellig pathologisch kontrolle kontrollen "
    "gutartig bösartig boesartig positiv negativ männlich weiblich pneumonie lungenentzündung ja nein "
    "sain sains malade malades normale normaux anormal anormaux pathologique bénin malin témoin témoins positif "
    "négatif oui non sano sanos enfermo enfermos anormal benigno maligno neumonía positivo negativo malato malati "
    "polmonite patologico saudável doente gezond ziek normaal afwijkend zdrowy chory "
    "здоровые больные норма патология пневмония "
    "正常 异常 異常 肺炎 新冠 新冠肺炎 阳性 阴性 陽性 陰性 良性 恶性 悪性 健康 患者 对照"
)
"""Words of diagnoses and groups, in lower case."""

VIEWS = _words(
    "left right l r lt rt od os t1 t2 t1w t2w t1c t1n t1ce t1gd t2f t2flair flair pd pdw adc dwi dti swi tof bold asl "
    "mr mri ct pet cta mra cr dx us xray ap pa lat lateral frontal axial coronal sagittal ax cor sag cc mlo lcc rcc "
    "lmlo rmlo rml pre post native contrast arterial venous portal delayed anat func fmap perf dicom dicoms nifti png "
    "jpeg jpg a b c d i ii iii iv v baseline followup followups fu base early late rest stress ed es "
    "links rechts gauche droite droit izquierda izquierdo derecha derecho sinistra destra vor nach avant après antes "
    "después nativ"
)
"""Words of sides, sequences, projections, phases and time points, in lower case: several of them are of one patient."""

IMAGES = _words("images image imgs img scan scans volumes data raw slices files original originals")
MASKS = _words(
    "masks mask labels label annotations annotation segmentations segmentation seg segs groundtruth gt labelstr "
    "labelsts contours rois"
)
"""Names of folders of segmentations, which are skipped where a folder of images lies next to them."""

_CONTAINER = re.compile(
    r"(images?|imgs?|parts?|batch(es)?|sets?|folds?|sites?|cent(er|re)s?|hospitals?|clini(c|que)s?|klinik(en)?|cohorts?|dis[ck]s?|dvd|cd|chunks?|"
    r"archives?|groups?|zip|data|subsets?|block|blocks|collection|release|source|scanner)[-_ ]?[0-9]*"
)
_GRADE = re.compile(r"(grade|class|stage|kl|birads|bi-rads|type|category|cat|label|level|score|isup|gleason)[-_ ]?\d+")
_CODE = re.compile(r"^\d[-_. ]+(?=\D)")
_VISIT = re.compile(
    r"(ses|session|visit|v|vis|scan|mr|ct|pet|tp|t|time|timepoint|day|d|week|w|month|m|year|y|series|se|ser|study|st|stu|"
    r"exam|ex|acq|run|rep|s|date|baseline|bl|fu|followup|follow-up|pre|post|view|phase|echo)\d{0,14}"
)
VISIT_WORDS = _words(
    "study studies st stu series ser se exam scan ses session visit vis acq acquisition run rep time timepoint tp day "
    "week wk month year base baseline bl fu followup termin besuch aufnahme untersuchung visite examen"
)
"""Words before the number of a study, a series or a visit, of which a patient may have several, in lower case."""
_STUDY = re.compile(
    r"(\d+\.)+\d+|(19|20)\d\d([-_.]?(0[1-9]|1[0-2]))?|"
    rf"({'|'.join(sorted(VISIT_WORDS))}|dicom|dcm|ct|mr|mri|pet)[-_ ]?\d+|[tv][-_ ]?\d"
)
_SITE = re.compile(r"(sites?|cent(er|re)s?|hospitals?|clini(c|que)s?|klinik(en)?|batch|part|fold|cohort)[-_ ]?[0-9]+")
_DATE = re.compile(
    r"(19|20)\d\d[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])([-_T ]?\d{4,6})?|"
    r"(0[1-9]|[12]\d|3[01])[-_.]?(0[1-9]|1[0-2])[-_.]?(19|20)\d\d"
)


def split_of(name: str) -> str:
    """Return the split that a folder's name stands for, such as `train`, `Training_Set` or `images_val`; or nothing."""
    parts = [part for part in re.split(r"[-_. ]+", name.lower()) if part not in (*IMAGES, "set", "dataset")]
    return SPLITS.get(name.lower()) or (SPLITS.get(parts[0], "") if len(parts) == 1 else "")


def is_split(name: str) -> bool:
    """Return whether a folder's name is that of a split."""
    return bool(split_of(name))


def is_container(name: str) -> bool:
    """Return whether a folder only holds others together: `images_001`, `batch2`, `site1`, `fold0`."""
    return bool(_CONTAINER.fullmatch(name.lower())) or name.lower() in IMAGES


def is_view(name: str) -> bool:
    """Return whether a name is a side, a sequence, a projection or a phase, of which a patient has several."""
    return name.lower() in VIEWS


def is_class(name: str) -> bool:
    """Return whether a name says a diagnosis or a group, and no number but a leading digit: `NORMAL`, `0_normal`,
    `COVID-19 Cases`, `grade_2`.
    """
    text = re.sub(r"covid[-_ ]*19", "covid", unicodedata.normalize("NFC", name).lower())
    if _GRADE.fullmatch(text):
        return True
    text = _CODE.sub("", text)
    words = [text, *re.split(r"[\W\d_]+", text), re.sub(r"[\W\d_]", "", text)]
    return not re.search(r"\d", text) and any(word in CLASSES for word in words)


def is_unnumbered(name: str) -> bool:
    """Return whether a name holds no number but the code of a class in front: `anna`, `2 - moderate`."""
    return not any(map(str.isdigit, _CODE.sub("", name)))


def is_study(name: str) -> bool:
    """Return whether a folder's name is that of a study or a series: a DICOM UID, a date, `SE0001`, `study_2`."""
    return bool(_STUDY.fullmatch(name.lower())) or is_date(name)


def is_site(text: str) -> bool:
    """Return whether a part of a name numbers a hospital, a batch or a fold: `site1`, `batch02`."""
    return bool(_SITE.fullmatch(text.lower()))


def is_number(name: str) -> bool:
    """Return whether a name is a number as patients have them, with two digits or more: `P01`, `0123`."""
    numbered = bool(re.fullmatch(r"[A-Za-z]*\d{2,}", name))
    return numbered and not (is_view(name) or is_study(name) or is_visit(name))


def is_date(text: str) -> bool:
    """Return whether a part of a name is a date, such as 20240131."""
    return bool(_DATE.fullmatch(text))


def is_visit(text: str) -> bool:
    """Return whether the last part of a name numbers the visits, scans or views of one patient: `ses-01`, `MR2`."""
    text = text.strip("-_. ").lower()
    parts = [part for part in re.split(r"[-_. ]+", text) if part]
    return bool(parts) and all(_is_visit(part) for part in parts)


def _is_visit(part: str) -> bool:
    if part.isdigit():  # a number of three digits or more may be a patient's, below the number of a site
        return len(part) <= 2 or is_date(part)
    return part in VIEWS or bool(_VISIT.fullmatch(part))
