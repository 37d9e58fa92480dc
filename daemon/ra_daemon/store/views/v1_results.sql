SELECT
  i.patient_id, i.accession_number, i.study_instance_uid, i.sop_instance_uid, i.study_date,
  o.hands, r.laterality, o.laterality_source, r.joint, r.kind, r.label,
  r.value, r.low, r.high, r.level, r.units, r.scale_max, r.rubric,
  r.bundle, r.bundle_version, r.bundle_digest, r.engine, r.precision, r.preprocessing_digest,
  i.dataset_sha256 AS source_sha256, o.role, r.demonstration, o.status, o.superseded_by,
  (SELECT MIN(b.sop_instance_uid) FROM object b WHERE b.outcome_id = o.id AND b.kind = 'sr')
    AS sr_instance_uid,
  o.created_at,
  o.id AS outcome_id, r.view, r.spread, r.detail, r.derived_from, r.intended_use,
  o.retracted_at, o.retract_reason, r.device
FROM result r
JOIN outcome o ON o.id = r.outcome_id
JOIN instance i ON i.id = o.instance_id
