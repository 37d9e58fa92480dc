-- Auto-route: every radiograph that comes in goes to ra-daemon; its own results do not go back.
function OnStoredInstance(instanceId, tags, metadata, origin)
  local modality = tags['Modality']
  if (modality == 'CR' or modality == 'DX') and origin['RemoteAet'] ~= 'RA_DAEMON' then
    SendToModality(instanceId, 'ra-daemon')
  end
end
