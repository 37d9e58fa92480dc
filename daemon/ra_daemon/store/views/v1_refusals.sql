SELECT
  i.patient_id, i.accession_number, i.study_instance_uid, i.sop_instance_uid, i.study_date,
  i.dataset_sha256 AS source_sha256, f.reason_code, f.reason,
  o.role, o.demonstration, o.status, o.superseded_by,
  (SELECT MIN(b.sop_instance_uid) FROM object b WHERE b.outcome_id = o.id AND b.kind = 'refusal')
    AS sr_instance_uid,
  o.created_at,
  o.id AS outcome_id
FROM refusal f
JOIN outcome o ON o.id = f.outcome_id
JOIN instance i ON i.id = o.instance_id
