/** Where a page goes: the main area, or a box where that takes no more (Notebook 7). */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, MainAreaWidget } from '@jupyterlab/apputils';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';

export type PageOptions = { id: string; title: string; icon: LabIcon };

/** Make a page of the main area out of its content. */
export function makePage<T extends Widget>(
  content: T,
  options: PageOptions
): MainAreaWidget<T> {
  const page = new MainAreaWidget({ content });
  page.id = options.id;
  page.title.label = options.title;
  page.title.caption = options.title;
  page.title.icon = options.icon;
  page.title.closable = true;
  page.toolbar.hide();
  return page;
}

// A second box would wait until the first is closed.
let shown: Dialog<unknown> | null = null;

/** Show a page, wherever this application has room for it. */
export function showPage(app: JupyterFrontEnd, page: MainAreaWidget): void {
  if (!page.isAttached) {
    app.shell.add(page, 'main');
  }
  if (page.isAttached) {
    app.shell.activateById(page.id);
    return;
  }
  shown?.reject();
  const dialog = new Dialog<unknown>({
    title: page.title.label,
    body: page.content,
    buttons: [Dialog.cancelButton({ label: 'Close' })],
    hasClose: true
  });
  dialog.addClass('kl-dialog');
  shown = dialog;
  void dialog.launch().finally(() => {
    page.dispose();
    shown = shown === dialog ? null : shown;
  });
}
