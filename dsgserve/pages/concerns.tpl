% # Which datasets a document is for; nothing if it is for none.
% if concerns:
<p class="soft">For \\
% for number, one in enumerate(concerns):
{{", " if number else ""}}<bdi dir="auto">{{one}}</bdi>\\
% end
</p>
% end
