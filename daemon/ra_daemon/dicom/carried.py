"""What is carried over from a source: attributes, items of sequences, and what these require.

Persons only: what the standard says of animals, of groups of patients and of patients' pictures
stays behind, so does the consent to use the source's images, what is younger than the validators
know (issuers of trials' identifiers), and every private attribute.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset

IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
"""Kept as they came, valid or not: with others the result would lie in no study."""

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "Manufacturer", "PatientOrientation",
)  # fmt: skip
"""Present in every object, empty where the source has no valid value."""

CONTEXT = ("TimezoneOffsetFromUTC", "IssuerOfPatientID", "StudyDescription")

_PATIENT = (
    "ReferencedPatientSequence", "TypeOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthTime", "PatientBirthDateInAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar", "PatientAlternativeCalendar", "QualityControlSubject",
    "OtherPatientNames", "OtherPatientIDsSequence", "PatientComments",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
)  # fmt: skip
_STUDY = (
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence",
    "ProcedureCodeSequence", "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence",
    "ReferencedStudySequence", "RequestingService", "RequestingServiceCodeSequence",
    "ReasonForPerformedProcedureCodeSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientSizeCodeSequence",
    "PatientBodyMassIndex", "MeasuredAPDimension", "MeasuredLateralDimension", "PatientWeight",
    "MedicalAlerts", "Allergies", "Occupation", "SmokingStatus", "AdditionalPatientHistory",
    "PregnancyStatus", "LastMenstrualDate", "ReasonForVisit", "ReasonForVisitCodeSequence",
    "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID", "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence", "PatientState", "RequestAttributesSequence",
)  # fmt: skip
_TRIAL_SUBJECT = (
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID", "ClinicalTrialProtocolEthicsCommitteeName",
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
)  # fmt: skip
_TRIAL_STUDY = (
    "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
    "LongitudinalTemporalOffsetFromEvent", "LongitudinalTemporalEventType",
)  # fmt: skip
_DEVICE = (
    "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "InstitutionName",
    "InstitutionalDepartmentName", "InstitutionAddress", "StationName", "AcquisitionDateTime",
    "AcquisitionDate", "AcquisitionTime",
)  # fmt: skip
_IMAGE = ("Modality", "Rows", "Columns", "FrameOfReferenceUID", "ImagerPixelSpacing")

EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"
"""In a report of ours; its UIDs are those of images, so they stay as they came too."""

ROOT = (
    *TYPE_2, *CONTEXT, *_PATIENT, *_STUDY, *_TRIAL_SUBJECT, *_TRIAL_STUDY, *_DEVICE, *_IMAGE,
    EVIDENCE,
)  # fmt: skip
"""Every attribute that is read besides ``IDENTITY``."""

_CODE = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
_ISSUER = ("LocalNamespaceEntityID", "UniversalEntityID", "UniversalEntityIDType")
_INSTANCE = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
_PHYSICIAN = ("PersonIdentificationCodeSequence", "InstitutionName", "InstitutionCodeSequence")

_ITEMS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("ReferencedPatientSequence", "ReferencedStudySequence", "ReferencedSOPSequence"),
        _INSTANCE,
    ),
    **dict.fromkeys(
        (
            "AssigningFacilitySequence", "IssuerOfAccessionNumberSequence",
            "IssuerOfAdmissionIDSequence", "IssuerOfServiceEpisodeIDSequence",
        ),
        _ISSUER,
    ),
    **dict.fromkeys(
        (
            "ReferringPhysicianIdentificationSequence",
            "ConsultingPhysicianIdentificationSequence",
            "PhysiciansOfRecordIdentificationSequence",
            "PhysiciansReadingStudyIdentificationSequence",
        ),
        _PHYSICIAN,
    ),
    "IssuerOfPatientIDQualifiersSequence": (
        "UniversalEntityID", "UniversalEntityIDType", "IdentifierTypeCode",
        "AssigningFacilitySequence", "AssigningJurisdictionCodeSequence",
        "AssigningAgencyOrDepartmentCodeSequence",
    ),
    "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID", "TypeOfPatientID"),
    "RequestAttributesSequence": (
        "RequestedProcedureID", "AccessionNumber", "IssuerOfAccessionNumberSequence",
        "ReferencedStudySequence", "StudyInstanceUID", "RequestedProcedureDescription",
        "RequestedProcedureCodeSequence", "ReasonForTheRequestedProcedure",
        "ReasonForRequestedProcedureCodeSequence", "ScheduledProcedureStepID",
        "ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence",
    ),
    EVIDENCE: ("StudyInstanceUID", "ReferencedSeriesSequence"),
    "ReferencedSeriesSequence": ("SeriesInstanceUID", "ReferencedSOPSequence"),
}  # fmt: skip
_ONE_ITEM = frozenset(
    {
        "IssuerOfAccessionNumberSequence", "IssuerOfAdmissionIDSequence",
        "IssuerOfServiceEpisodeIDSequence", "IssuerOfPatientIDQualifiersSequence",
        "AssigningFacilitySequence", "AssigningJurisdictionCodeSequence",
        "AssigningAgencyOrDepartmentCodeSequence", "ReferringPhysicianIdentificationSequence",
        "InstitutionCodeSequence", "RequestedProcedureCodeSequence",
        "RequestingServiceCodeSequence",
    }
)  # fmt: skip
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ReferencedPatientSequence": _INSTANCE,
    "ReferencedStudySequence": _INSTANCE,
    "ReferencedSOPSequence": _INSTANCE,
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    EVIDENCE: ("StudyInstanceUID", "ReferencedSeriesSequence"),
    "ReferencedSeriesSequence": ("SeriesInstanceUID", "ReferencedSOPSequence"),
}  # fmt: skip
_CALENDAR_DATES = (
    "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar",
)  # fmt: skip
_ETHICS = "ClinicalTrialProtocolEthicsCommittee"
_NEEDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_CALENDAR_DATES, ("PatientAlternativeCalendar",)),
    "PatientAlternativeCalendar": _CALENDAR_DATES,
    "LongitudinalTemporalOffsetFromEvent": ("LongitudinalTemporalEventType",),
    "LongitudinalTemporalEventType": ("LongitudinalTemporalOffsetFromEvent",),
    f"{_ETHICS}ApprovalNumber": (f"{_ETHICS}Name",),
    f"{_ETHICS}Name": (f"{_ETHICS}ApprovalNumber",),
}
"""Conditional attributes: each is left out without one of those it needs."""


def in_items(sequence: str) -> tuple[str, ...]:
    """The attributes that an item of a sequence keeps."""
    return _CODE if sequence.endswith("CodeSequence") else _ITEMS[sequence]


def limit_of(sequence: str) -> int | None:
    """How many items a sequence may have."""
    return 1 if sequence in _ONE_ITEM else None


def is_whole(sequence: str, item: Dataset) -> bool:
    """Whether an item still has what the standard requires of it; mends pairs on the way."""
    if len(item) == 0:
        return False
    if sequence.endswith("CodeSequence"):
        return all(k in item for k in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    kept = in_items(sequence)
    if "UniversalEntityIDType" in kept:
        _pair(item, "UniversalEntityID", "UniversalEntityIDType")
        return len(item) > 0
    if kept == _PHYSICIAN:
        return "PersonIdentificationCodeSequence" in item and len(item) > 1
    return all(k in item for k in _REQUIRED.get(sequence, ()))


def settle(ds: Dataset) -> set[str]:
    """Remove from a clean data set what cannot stand without its companions; their keywords."""
    gone = {k for k, needed in _NEEDS.items() if k in ds and not any(n in ds for n in needed)}
    subject = [k for k in _TRIAL_SUBJECT if k in ds]
    if subject and not _is_trial(ds):
        gone |= set(subject)
    for keyword in gone:
        delattr(ds, keyword)
    _fill(ds, _TRIAL_SUBJECT, "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
          "ClinicalTrialSiteName")  # fmt: skip
    _fill(ds, _TRIAL_STUDY, "ClinicalTrialTimePointID")
    methods = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
    if ds.get("PatientIdentityRemoved") == "YES" and not any(m in ds for m in methods):
        ds.DeidentificationMethod = "Not stated by the source"
    return gone


def _fill(ds: Dataset, module: tuple[str, ...], *empty: str) -> None:
    """Add a module's type 2 attributes where any of it is there."""
    if any(k in ds for k in module):
        for keyword in empty:
            if keyword not in ds:
                setattr(ds, keyword, None)


def _pair(item: Dataset, one: str, other: str) -> None:
    """Two attributes that have no meaning alone."""
    if (one in item) != (other in item):
        delattr(item, one if one in item else other)


def _is_trial(ds: Dataset) -> bool:
    subject = "ClinicalTrialSubjectID" in ds or "ClinicalTrialSubjectReadingID" in ds
    return subject and "ClinicalTrialSponsorName" in ds and "ClinicalTrialProtocolID" in ds
