SELECT
  j.id AS job_id, i.patient_id, i.accession_number, i.study_instance_uid, i.sop_instance_uid,
  i.dataset_sha256 AS source_sha256, j.pipeline_digest, j.state, j.lane, j.route,
  j.attempts, j.lost_leases, j.cause, j.message, j.blame, j.owner,
  j.created_at, j.not_before, j.lease_until, j.finished_at,
  i.id AS instance_id
FROM job j
JOIN instance i ON i.id = j.instance_id
