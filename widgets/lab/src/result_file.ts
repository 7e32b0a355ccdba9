/** `result.json` opens as the page of its result. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import {
  ABCWidgetFactory,
  DocumentWidget,
  type DocumentRegistry
} from '@jupyterlab/docregistry';

import { checkupIcon } from './icons';
import { ResultView, type ResultOptions } from './results';

const FILE_TYPE = 'kernel-lib-result';

type ResultDocument = DocumentWidget<ResultView>;

class ResultFactory extends ABCWidgetFactory<ResultDocument> {
  constructor(private shared: Omit<ResultOptions, 'folders'>) {
    super({
      name: 'Check-up result',
      fileTypes: [FILE_TYPE],
      defaultFor: [FILE_TYPE],
      readOnly: true
    });
  }

  protected createNewWidget(context: DocumentRegistry.Context): ResultDocument {
    const folders = [PathExt.dirname(context.path)];
    const content = new ResultView({ ...this.shared, folders });
    const page = new DocumentWidget({ content, context });
    page.toolbar.hide();
    return page;
  }
}

export function addResultFile(
  app: JupyterFrontEnd,
  shared: Omit<ResultOptions, 'folders'>
): void {
  app.docRegistry.addFileType({
    name: FILE_TYPE,
    displayName: 'Check-up result',
    pattern: '^result\\.json$',
    extensions: ['.json'],
    mimeTypes: ['application/json'],
    icon: checkupIcon
  });
  app.docRegistry.addWidgetFactory(new ResultFactory(shared));
}
