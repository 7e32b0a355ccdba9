/** Where a page goes: the main area, or a box where that takes no more (Notebook 7). */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { LabIcon } from '@jupyterlab/ui-components';
import { Panel, Widget } from '@lumino/widgets';

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

/** A box over the whole page. Unlike `Dialog`, it lets another dialog, of files, open over it. */
class Box extends Panel {
  constructor(
    private page: MainAreaWidget,
    private behind: HTMLElement
  ) {
    super();
    this.addClass('kl-backdrop');
    const box = new Panel();
    box.addClass('kl-box');
    box.node.tabIndex = -1;
    box.node.setAttribute('role', 'dialog');
    box.node.setAttribute('aria-modal', 'true');
    box.node.setAttribute('aria-label', page.title.label);
    box.addWidget(this.header());
    box.addWidget(page.content);
    this.addWidget(box);
    this.node.addEventListener('keydown', event => {
      if (event.key === 'Escape') {
        this.dispose();
      }
    });
    this.behind.inert = true; // neither keyboard nor screen reader leave the box
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.behind.inert = false;
    super.dispose();
    this.page.dispose();
    this.before?.focus();
  }

  protected onAfterAttach(): void {
    (this.widgets[0] as Panel).node.focus();
  }

  private header(): Widget {
    const node = document.createElement('header');
    const close = document.createElement('button');
    close.type = 'button';
    close.className = 'jp-mod-styled kl-small';
    close.textContent = 'Close';
    close.addEventListener('click', () => this.dispose());
    node.append(this.page.title.label, close);
    return new Widget({ node });
  }

  private before = document.activeElement as HTMLElement | null;
}

let shown: Box | null = null;

/** Show a page, wherever this application has room for it. */
export function showPage(app: JupyterFrontEnd, page: MainAreaWidget): void {
  if (!page.isAttached) {
    app.shell.add(page, 'main');
  }
  if (page.isAttached) {
    app.shell.activateById(page.id);
    return;
  }
  shown?.dispose();
  shown = new Box(page, app.shell.node);
  Widget.attach(shown, document.body);
}
