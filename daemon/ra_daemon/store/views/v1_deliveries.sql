SELECT
  d.id AS delivery_id, i.patient_id, i.accession_number, b.study_instance_uid,
  i.sop_instance_uid AS source_sop_instance_uid, b.sop_instance_uid, b.sop_class_uid, b.kind,
  b.path, b.sha256, d.destination, d.state, d.attempts, d.cause, d.status_code,
  d.created_at, d.not_before, d.sent_at, d.committed_at,
  o.demonstration, o.id AS outcome_id
FROM delivery d
JOIN object b ON b.id = d.object_id
JOIN outcome o ON o.id = b.outcome_id
JOIN instance i ON i.id = o.instance_id
