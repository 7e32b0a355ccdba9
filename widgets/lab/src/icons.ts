import { LabIcon } from '@jupyterlab/ui-components';

/** A square picture of 24 units: lines take the theme's colour, one part is accented. */
function picture(name: string, lines: string, accent: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" width="24" viewBox="0 0 24 24">' +
    `<g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round">${lines}</g>` +
    `<g class="kl-accent" fill="#1976d2" stroke="none">${accent}</g></svg>`;
  // The theme would fill what is only outlined.
  return new LabIcon({
    name: `kernel-lib:${name}`,
    svgstr: svgstr.replace('class="jp-icon3" ', 'class="kl-lines" ')
  });
}

export const checkupIcon = picture(
  'checkup',
  '<rect x="4" y="3" width="16" height="18" rx="2"/><path d="M8 8h8M8 12h4"/>',
  '<path d="m11.2 17.2-1.9-1.9 1-1 .9.9 4-4 1 1z"/>'
);

const invarianceIcon = picture(
  'invariance',
  '<path d="M19.5 9A8 8 0 0 0 5 8M4.5 15A8 8 0 0 0 19 16"/><path d="M5 4.500V8h3.500M19 19.500V16h-3.5"/>',
  '<rect x="9.5" y="9.5" width="5" height="5" rx=".8"/>'
);

const ICONS: { [template: string]: LabIcon } = {
  saliency_cascade: picture(
    'saliency',
    '<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/>',
    '<circle cx="12" cy="12" r="3.2"/>'
  ),
  trust_matrix: picture(
    'trust',
    '<rect x="3.5" y="3.5" width="17" height="17" rx="1.5"/><path d="M9.2 3.5v17M14.8 3.5v17M3.5 9.2h17M3.5 14.8h17"/>',
    '<path d="M4.6 4.6h3.5v3.5H4.6zM10.3 10.3h3.4v3.4h-3.4zM15.9 15.9h3.5v3.5h-3.5z"/>'
  ),
  error_detection: picture(
    'errors',
    '<path d="M12 3.5 21.5 20h-19z"/>',
    '<path d="M11.1 9h1.8l-.3 6h-1.2z"/><circle cx="12" cy="17.2" r="1.1"/>'
  ),
  model_doctor: picture(
    'doctor',
    '<path d="M6 3.5v5a4.5 4.5 0 0 0 9 0v-5M10.5 13v2.500a4.5 4.5 0 0 0 9 0V13"/>',
    '<circle cx="19.5" cy="11" r="2.3"/>'
  ),
  invariance_testing: invarianceIcon,
  invariance_zoo: invarianceIcon,
  checkup: checkupIcon
};

const notebookIcon = picture(
  'template',
  '<rect x="5" y="3" width="14" height="18" rx="2"/><path d="M9 3v18"/>',
  '<path d="M11.5 7h5v1.600h-5zM11.5 10.500h5v1.600h-5z"/>'
);

/** The picture of a template; those of one's own folders share one. */
export function iconOf(template: string): LabIcon {
  return ICONS[template] ?? notebookIcon;
}
