SELECT
  i.patient_id, i.accession_number, i.study_instance_uid, i.sop_instance_uid, i.study_date,
  i.dataset_sha256 AS source_sha256, i.pixel_sha256, i.path, i.size,
  i.calling_ae, i.called_ae, i.address, i.route, i.conflict, i.received_at,
  i.id AS instance_id, i.purged_at, i.purge_reason, i.seen_again_at
FROM instance i
