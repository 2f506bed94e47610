// The JSON types of a Grafana dashboard. The test writes dashboards.ts next to this file, with every
// dashboard as a literal that `satisfies GrafanaDashboard`, so that unknown keys are errors.
import type {
  AnnotationQuery,
  Dashboard,
  DataQuery,
  FieldConfig,
  FieldConfigSource,
  Panel,
  RowPanel,
  TableFieldOptions,
  VariableModel,
} from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as statetimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as statushistory from '@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has no enums: a string enum becomes its strings, a numeric enum a number.
type Plain<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? number
      : T extends (infer Item)[]
        ? Plain<Item>[]
        : T extends object
          ? { [Key in keyof T]: Plain<T[Key]> }
          : T;

// The types of the Prometheus data source are in a separate package that depends on all of Grafana.
interface PrometheusQuery extends DataQuery {
  expr: string;
  exemplar?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  interval?: string;
  legendFormat?: string;
  range?: boolean;
}

interface PrometheusAnnotation extends Omit<AnnotationQuery, 'target'> {
  expr?: string;
  step?: string;
  tagKeys?: string;
  target: PrometheusQuery;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
}

type PanelOf<Kind extends string, Options, Custom> = Omit<
  Panel,
  'type' | 'options' | 'fieldConfig' | 'targets'
> & {
  type: Kind;
  options: Options;
  targets: PrometheusQuery[];
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {
    defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom };
  };
};

type AnyPanel =
  | PanelOf<'bargauge', bargauge.Options, never>
  | PanelOf<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | PanelOf<'stat', stat.Options, never>
  | PanelOf<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>
  | PanelOf<'status-history', statushistory.Options, statushistory.FieldConfig>
  | PanelOf<'table', table.Options, TableFieldOptions>
  | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>;

export type GrafanaDashboard = Plain<
  Omit<Dashboard, 'annotations' | 'panels' | 'templating'> & {
    annotations: { list: PrometheusAnnotation[] };
    panels: (AnyPanel | (Omit<RowPanel, 'type'> & { type: 'row' }))[];
    templating: { list: VariableModel[] };
  }
>;
