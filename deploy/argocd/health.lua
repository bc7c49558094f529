-- Health of a ModelBooster for Argo CD; docs/install.md says where to put it.
-- Healthy: every backend serves. Suspended: every backend has 0 replicas, as its user wants.
-- Degraded: waiting does not help. Progressing: anything else, also while the report is of an older edit.
local health = {status = "Progressing", message = "waiting for the ModelBooster operator"}

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "being deleted"
  return health
end

local generation = obj.metadata.generation or 0
if obj.status == nil or (obj.status.observedGeneration or -1) < generation then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  -- A condition of an older edit says nothing about this one.
  if (condition.observedGeneration or generation) >= generation then
    conditions[condition.type] = condition
  end
end

local failed, active, initialized = conditions.Failed, conditions.Active, conditions.Initialized
if failed ~= nil and failed.status == "True" then
  health.status = "Degraded"
  health.message = failed.reason .. ": " .. failed.message
elseif active ~= nil and active.status == "True" then
  health.status = active.reason == "ScaledToZero" and "Suspended" or "Healthy"
  health.message = active.message
  if initialized ~= nil and initialized.reason == "RolloutHeld" then
    health.message = initialized.message
  end
elseif active ~= nil then
  health.message = active.message
end
return health
