% # The landing page of a person who is signed in.
% rebase("base.tpl", sign_out=True)
<p>Hello <bdi dir="auto"><strong>{{display_name}}</strong></bdi>.
% if admin:
You are an administrator of this site.
% end
% if read_only:
Your account is read-only: you can view data, but not change it.
% end
</p>
% if pending:
<section class="panel" aria-labelledby="pending">
<h2 id="pending">Terms to accept</h2>
<p>You get access to these datasets once you accept their terms.</p>
<ul>
% for item in pending:
<li><a href="{{item.url}}"><bdi dir="auto">{{item.name}}</bdi></a>
<span class="soft">for <bdi dir="auto">{{item.dataset}}{{", version " + item.version if item.version else ""}}</bdi></span></li>
% end
</ul>
% if more_pending:
<p>And {{more_pending}} more.</p>
% end
<p><a href="/activate?next=/">Read and accept them on one page</a></p>
</section>
% end
% if has_search:
<form method="get" action="/" role="search" class="row">
<label for="q">Search datasets</label>
<input id="q" type="search" name="q" value="{{words}}" maxlength="100">
<button>Search</button>
% if words:
<a href="/">Show all</a>
% end
</form>
% end
% if words or previous or next:
<p role="status">\\
% if not part.matching:
No dataset has “{{words}}” in its name or description.
% elif part.entries:
{{start + 1}} to {{start + len(part.entries)}} of {{part.matching}} datasets{{" with “" + words + "”" if words else ""}}.
% else:
This page is empty: there are {{part.matching}} datasets. <a href="/">Go to the first page</a>.
% end
</p>
% end
% if own_datasets:
<ul class="list" aria-label="Datasets that you have access to">
% for item in own_datasets:
% include("dataset.tpl", item=item, level=2)
% end
</ul>
% elif not words and not start:
<p>You do not have access to any dataset yet. Ask {{site.contact_name}} for access, and give the name of your account:
<bdi dir="auto"><strong>{{account}}</strong></bdi>.
% if public_datasets:
The datasets below need no invitation: accept their terms to get access.
% end
</p>
% end
% if public_datasets:
<h2>Open to everyone who accepts the terms</h2>
<ul class="list">
% for item in public_datasets:
% include("dataset.tpl", item=item, level=3)
% end
</ul>
% end
% if previous or next:
<nav aria-label="Pages of datasets" class="row">
% if previous:
<a href="{{previous}}" rel="prev">Previous page</a>
% end
% if next:
<a href="{{next}}" rel="next">Next page</a>
% end
</nav>
% end
% if groups:
<h2>Your groups</h2>
<ul>
% for group in groups:
<li><bdi dir="auto">{{group}}</bdi></li>
% end
</ul>
% end
% if accepted:
<h2>Terms that you have accepted</h2>
<details>
<summary>Read, print or save them ({{len(accepted)}})</summary>
<ul>
% for item in accepted:
<li><a href="{{item.url}}"><bdi dir="auto">{{item.name}}</bdi></a> <span class="soft">on {{item.date}}</span></li>
% end
</ul>
</details>
% end
