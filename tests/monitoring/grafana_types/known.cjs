// Check the dashboards given as arguments with Grafana's code. Prints JSON: unknown units, unknown
// transformations, and the columns of each table.
const fs = require('node:fs');

// The package reads these globals of the browser.
globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] };
const grafana = require('@grafana/data');
globalThis.window = {};

// One transformation is listed under two names.
const transformers = new Map(Object.values(grafana.standardTransformers).map((t) => [t.id, t]));
grafana.standardTransformersRegistry.setInit(() =>
  [...transformers].map(([id, transformation]) => ({
    id,
    name: id,
    transformation: async () => transformation,
  }))
);

const units = new Set(
  grafana.getValueFormats().flatMap((group) => group.submenu.map((unit) => unit.value))
);
const found = { units: [], transformations: [], columns: {} };

function unitsOf(value) {
  if (value === null || typeof value !== 'object') {
    return [];
  }
  const here = typeof value.unit === 'string' ? [value.unit] : [];
  const overridden = value.id === 'unit' ? [value.value] : [];
  return [...here, ...overridden, ...Object.values(value).flatMap(unitsOf)];
}

// The frame that the Prometheus data source returns for an instant query in format "table", with two
// rows. With several queries the name of the value has the ref id.
function frameOf(target, _, targets) {
  const labels = /by \(([^)]*)\)/.exec(target.expr)[1].split(', ');
  const text = labels.map((name) => ({
    name,
    type: grafana.FieldType.string,
    config: {},
    values: [`${name} 1`, `${name} 2`],
  }));
  const value = targets.length > 1 ? `Value #${target.refId}` : 'Value';
  return {
    refId: target.refId,
    length: 2,
    fields: [
      { name: 'Time', type: grafana.FieldType.time, config: {}, values: [1, 1] },
      ...text,
      { name: value, type: grafana.FieldType.number, config: {}, values: [1, 2] },
    ],
  };
}

async function columnsOf(panel) {
  const frames = await new Promise((resolve, reject) => {
    const transformed = grafana.transformDataFrame(
      panel.transformations,
      panel.targets.map(frameOf)
    );
    transformed.subscribe({ next: resolve, error: reject });
  });
  const titled = (field) => field.config.displayName ?? field.name;
  return frames.map((frame) => ({ rows: frame.length, titles: frame.fields.map(titled) }));
}

async function look(name) {
  const dashboard = JSON.parse(fs.readFileSync(name, 'utf8'));
  found.units.push(...unitsOf(dashboard.panels).filter((unit) => !units.has(unit)));
  for (const panel of dashboard.panels) {
    const ids = (panel.transformations ?? []).map((transformation) => transformation.id);
    found.transformations.push(...ids.filter((id) => !transformers.has(id)));
    if (ids.includes('merge')) {
      found.columns[`${dashboard.title}: ${panel.title}`] = await columnsOf(panel);
    }
  }
}

Promise.all(process.argv.slice(2).map(look)).then(() =>
  process.stdout.write(JSON.stringify(found))
);
